import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { renderDigits } from '../../lib/datasets/digits';
import { Random } from '../../lib/random';
import { BatchNormalization, fileSystem } from '../../lib/tfjs';
import { backgroundOf, boxesOf, overflowOf, useBrowser } from '../helpers/browser';
import { skip } from '../helpers/shared';
import { usePlainBackend } from '../tfjs/helpers';
import { cudaBatchnorm, type Outcome, temporaryFolder } from './helpers';

interface Result {
  data: { train: number; test: number; width: number; classes: number };
  device: { name: string };
  runs: { name: string; batchNorm: boolean; learningRate: number; accuracy: number; epochs: { loss: number | null; accuracy: number }[] }[];
  checkpoint: { greatestDifference: number; identical: boolean; accuracy: number };
}

const OPTDIGITS = resolve(__dirname, '../../../shared/data/optdigits');

function resultOf({ status, stdout, stderr }: Outcome): Result {
  expect(stderr).to.equal('');
  expect(status).to.equal(0);
  return JSON.parse(stdout) as Result;
}

const withNorm = ({ runs }: Result) => runs.filter(({ batchNorm }) => batchNorm).map(({ accuracy }) => accuracy);
const withoutNorm = ({ runs }: Result) => runs.filter(({ batchNorm }) => !batchNorm).map(({ accuracy }) => accuracy);

function expectSelfContained(html: string): void {
  expect(html.replaceAll('xmlns="http://www.w3.org/2000/svg"', '')).to.not.match(/https?:|src=|href=|@import|url\(|<script/);
}

describe('demo', function () {
  this.timeout(300_000);
  const path = temporaryFolder();

  describe('on rendered digits', () => {
    let result: Result;
    let html: string;
    const args = ['demo', '--quick', '--json', '--seed', '5', '--report', path('new/report.html'), '--model', path('model')];
    before(() => {
      result = resultOf(cudaBatchnorm(...args));
      html = readFileSync(path('new/report.html'), 'utf8');
    });

    it('trains with and without batch norm at two learning rates', () => {
      expect(result.runs.map(({ batchNorm }) => batchNorm)).to.have.members([true, true, false, false]);
      expect(new Set(result.runs.map(({ learningRate }) => learningRate)).size).to.equal(2);
      expect(result.data).to.include({ train: 2000, test: 500, width: 144, classes: 10 });
    });

    it('learns with batch norm, at either rate, and better than without at the high one', () => {
      for (const accuracy of withNorm(result)) expect(accuracy).to.be.greaterThan(0.75);
      expect(withNorm(result)[1]! - withoutNorm(result)[1]!).to.be.greaterThan(0.3);
    });

    it('saves a network that comes back the same', async () => {
      expect(result.checkpoint).to.include({ greatestDifference: 0, identical: true, accuracy: Math.max(...withNorm(result)) });
      expect(readdirSync(path('model'))).to.have.members(['model.json', 'weights.bin']);
      await usePlainBackend();
      const loaded = await tf.loadLayersModel(fileSystem(path('model')));
      expect(loaded.layers.filter((layer) => layer instanceof BatchNormalization)).to.have.length(4);
    });

    it('writes a report that stands alone, with every plot and number', () => {
      expectSelfContained(html);
      expect(html.match(/<svg class="plot" role="img"/g)).to.have.length(1 + 2 + 8);
      expect(html.match(/<desc>/g)).to.have.length(1 + 2 + 8);
      for (const { name, accuracy } of result.runs) {
        expect(html).to.contain(`<th scope="row">${name}</th><td>${(100 * accuracy).toFixed(1)}%</td>`);
      }
      expect(html).to.not.match(/NaN|undefined|\[object/);
    });

    describe('report in a browser', () => {
      const open = useBrowser();
      for (const scheme of ['light', 'dark'] as const) {
        for (const width of [360, 1200]) {
          it(`shows every plot, and nothing sticks out or is asked for, in ${scheme} colours, ${width} pixels wide`, async () => {
            const { page, complaints } = await open(path('new/report.html'), { scheme, width });
            const plots = await boxesOf(page, 'svg.plot');
            expect(plots).to.have.length(1 + 2 + 8);
            for (const box of plots) expect(Math.min(box.width, box.height)).to.be.greaterThan(100);
            expect(await overflowOf(page)).to.equal(0);
            expect(await backgroundOf(page)).to.equal(scheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(20, 23, 28)');
            expect(complaints).to.deep.equal([]);
            await page.context().close();
          });
        }
      }
    });

    it('repeats from the seed', () => {
      const again = resultOf(cudaBatchnorm(...args));
      const course = ({ runs }: Result) => runs.map(({ epochs }) => epochs);
      expect(course(again)).to.deep.equal(course(result));
    });
  });

  it('tells people what it does and found, a line for each epoch where there is no terminal', () => {
    const { status, stdout, stderr } = cudaBatchnorm('demo', '--quick', '--epochs', '1', '--report', path('r.html'), '--model', path('m'));
    expect(status).to.equal(0);
    expect(stderr).to.match(/Batch norm +on \S+ \(.*\)\nThe rest +TensorFlow\.js \S+ on its (wasm|cpu) backend/);
    expect(stderr.match(/ {2}epoch 1: loss \S+, test accuracy \d+\.\d%, \d+ samples\/s/g)).to.have.length(4);
    expect(stdout).to.match(
      /Final test accuracy +learning rate 0\.1 +learning rate 1\nwithout batch norm +[\d.]+% +[\d.]+%\nwith batch norm +[\d.]+% +[\d.]+%\n/,
    );
    expect(stdout).to.contain('loaded again it gives the same logits bit for bit');
  });

  before(() => {
    const { features, labels, width } = renderDigits(300, new Random(1));
    const rows = [...labels].map((label, row) => [...features.slice(row * width, (row + 1) * width), label].join());
    writeFileSync(path('digits.csv'), rows.join('\n'));
  });

  it('trains on a file, a part of it held back', () => {
    const result = resultOf(
      cudaBatchnorm('demo', '--data', path('digits.csv'), '--epochs', '1', '--json', '--report', path('r.html'), '--model', path('m')),
    );
    expect(result.data).to.include({ train: 240, test: 60, width: 144 });
  });

  it('has told its results when the report fails in the end', () => {
    symlinkSync(path('nowhere/demo.html'), path('broken.html')); // which shows only when it is written
    const report = ['--report', path('broken.html'), '--model', path('m')];
    const { status, stdout, stderr } = cudaBatchnorm('demo', '--data', path('digits.csv'), '--epochs', '1', '--json', ...report);
    expect(status).to.equal(1);
    expect(stderr).to.contain('ENOENT');
    expect((JSON.parse(stdout) as Result).runs).to.have.length(4);
  });

  it('trains on real handwriting', function () {
    if (!existsSync(OPTDIGITS)) skip(this, `there is no ${OPTDIGITS}`);
    const data = ['--data', resolve(OPTDIGITS, 'optdigits.tra'), '--test', resolve(OPTDIGITS, 'optdigits.tes')];
    const result = resultOf(
      cudaBatchnorm('demo', ...data, '--epochs', '4', '--json', '--report', path('real.html'), '--model', path('real')),
    );
    expect(result.data).to.include({ train: 3823, test: 1797, width: 64, classes: 10 });
    for (const accuracy of withNorm(result)) expect(accuracy).to.be.greaterThan(0.9);
    expect(withoutNorm(result)[1]).to.be.lessThan(0.8);
    expect(result.checkpoint.identical).to.equal(true);
    expectSelfContained(readFileSync(path('real.html'), 'utf8'));
  });
});

describe('command line', () => {
  const path = temporaryFolder();

  it('lists its commands and their options', () => {
    const { status, stdout } = cudaBatchnorm('--help');
    expect(status).to.equal(0);
    expect(stdout).to.contain('demo');
    const help = cudaBatchnorm('demo', '--help');
    expect(help.status).to.equal(0);
    for (const option of ['data', 'test', 'seed', 'epochs', 'batch-size', 'device', 'report', 'model', 'quick', 'json']) {
      expect(help.stdout).to.contain(`--${option}`);
    }
  });

  const wrong: [args: string[], message: string][] = [
    [['train'], "there is no command 'train'"],
    [['demo', '--epoch', '3'], "Unknown option '--epoch'"],
    [['demo', 'digits.csv'], 'digits.csv'],
    [['demo', '--epochs', '0'], "expected an integer from 1 for --epochs but received '0'"],
    [['demo', '--seed', 'x'], "expected an integer from 0 for --seed but received 'x'"],
    [['demo', '--batch-size', '1'], 'from 2 for --batch-size'],
    [['demo', '--test', 'a.csv'], '--test needs --data'],
  ];
  for (const [args, message] of wrong) {
    it(`refuses '${args.join(' ')}' and points to the help`, () => {
      const { status, stdout, stderr } = cudaBatchnorm(...args);
      expect(status).to.equal(2);
      expect(stdout).to.equal('');
      expect(stderr)
        .to.contain(message)
        .and.match(/Try 'cuda-batchnorm (demo )?--help'/);
    });
  }

  it('says in one line what is wrong with the data, and where', () => {
    writeFileSync(path('bad.csv'), `${'1,2,0\n'.repeat(60)}1,2\n`);
    writeFileSync(path('few.csv'), '1,2,0\n');
    writeFileSync(path('train.csv'), '1,2,0\n1,2,1\n'.repeat(30));
    writeFileSync(path('other.csv'), '1,2,3,0\n');
    writeFileSync(path('stranger.csv'), '1,2,7\n');
    const cases: [args: string[], message: string][] = [
      [['--data', path('bad.csv')], `${path('bad.csv')}, line 61: expected 3 values but found 2`],
      [['--data', path('few.csv')], 'expected at least 50 rows'],
      [['--data', path('none.csv')], `cannot read '${path('none.csv')}'`],
      [['--data', path('train.csv'), '--test', path('other.csv')], 'expected 2 values a row'],
      [['--data', path('train.csv'), '--test', path('stranger.csv')], 'expected classes below 2'],
      [['--device', 'cuda:99'], 'cuda'],
    ];
    for (const [args, message] of cases) {
      const { status, stdout, stderr } = cudaBatchnorm('demo', ...args);
      expect(status, stderr).to.equal(1);
      expect(stdout).to.equal('');
      expect(stderr.trim().split('\n')).to.have.length(1);
      expect(stderr).to.contain(message);
    }
  });
});
