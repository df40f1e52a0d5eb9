/** Every name under which the package can be imported, in an empty project that has installed it: by ESM, CommonJS and TypeScript. */

import fs from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { pack, root, run, temporaryFolder } from './packed';

interface Subpath {
  /** One value that it exports. */
  value: string;
  /** The optional peer dependency that it cannot do without. */
  peer?: string;
}

const SUBPATHS: Readonly<Record<string, Subpath>> = {
  '.': { value: 'BatchNorm' },
  './folding': { value: 'foldBatchNorm' },
  './keras': { value: 'fromKeras' },
  './onnx': { value: 'readBatchNorms', peer: '@bufbuild/protobuf' },
  './pytorch': { value: 'loadBatchNorm' },
  './safetensors': { value: 'readSafetensors' },
  './tfjs': { value: 'batchNormalization', peer: '@tensorflow/tfjs' },
};

const manifest = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
const exported = Object.keys(manifest.exports).filter((subpath) => subpath !== './package.json');
const known = exported.flatMap((subpath) =>
  SUBPATHS[subpath] ? [{ specifier: manifest.name + subpath.slice(1), ...SUBPATHS[subpath] }] : [],
);

describe('the packed tarball, by every name it can be imported under', function () {
  this.timeout('5m');
  const folder = temporaryFolder();
  const write = (file: string, text: string) => fs.writeFileSync(path.join(folder, file), text);
  const node = (file: string) => run(process.execPath, [file], folder);

  before(() => {
    const { tarball } = pack(folder);
    write('package.json', '{ "name": "consumer", "private": true }');
    // No name needs the native addon to be imported, so nothing is built.
    run('npm', ['install', '--ignore-scripts', '--no-fund', '--no-audit', tarball], folder);
  });
  after(() => fs.rmSync(folder, { recursive: true }));

  it('is tested under all of them, and without each optional peer', () => {
    expect(Object.keys(SUBPATHS)).to.include.members(exported);
    expect(known.flatMap(({ peer }) => peer ?? [])).to.include.members(Object.keys(manifest.peerDependencies));
    for (const peer of Object.keys(manifest.peerDependencies))
      expect(manifest.peerDependenciesMeta[peer]).to.deep.equal({ optional: true });
  });

  for (const { specifier, value, peer } of known) {
    const programs = {
      'esm.mjs': `import { ${value} } from '${specifier}';\nconsole.log(typeof ${value});`,
      'dynamic.mjs': `const { ${value} } = await import('${specifier}');\nconsole.log(typeof ${value});`,
      'common.cjs': `const { ${value} } = require('${specifier}');\nconsole.log(typeof ${value});`,
    };

    describe(specifier, () => {
      before(() => {
        for (const [file, text] of Object.entries(programs)) write(file, text);
      });

      if (peer !== undefined) {
        it(`says what to install where there is no ${peer}`, () => {
          for (const file of Object.keys(programs)) expect(() => node(file), file).to.throw(`npm install ${peer}`);
        });
        it(`finds ${peer} beside it`, () => {
          const link = path.join(folder, 'node_modules', peer);
          fs.mkdirSync(path.dirname(link), { recursive: true });
          fs.symlinkSync(fs.realpathSync(path.join(root, 'node_modules', peer)), link);
          expect(node('esm.mjs')).to.equal('function');
        });
      }

      it(`exports ${value} to ESM and CommonJS`, () => {
        for (const file of Object.keys(programs)) expect(node(file), file).to.equal('function');
      });
    });
  }

  it('has types for all of them, in ESM and in CommonJS', () => {
    const uses = known.map(
      ({ specifier, value }, i) => `import { ${value} as value${i} } from '${specifier}';\nexport const type${i}: Function = value${i};`,
    );
    write('typed_esm.mts', uses.join('\n'));
    write('typed_common.cts', uses.join('\n'));
    const tsc = (...args: string[]) =>
      run(process.execPath, [require.resolve('typescript/bin/tsc'), '--noEmit', '--strict', '--skipLibCheck', ...args], folder);
    const options = ['--module', 'nodenext', '--target', 'es2022', '--lib', 'es2022,dom'];
    tsc(...options, 'typed_esm.mts', 'typed_common.cts');
    write('wrong.mts', known.map(({ specifier }) => `export { nothingOfThisName } from '${specifier}';`).join('\n'));
    const everyName = known.map(({ specifier }) => `Module '"${specifier}"' has no exported member 'nothingOfThisName'`);
    expect(() => tsc(...options, 'wrong.mts'))
      .to.throw()
      .with.property('message')
      .that.satisfies((message: string) => everyName.every((complaint) => message.includes(complaint)));
  });
});
