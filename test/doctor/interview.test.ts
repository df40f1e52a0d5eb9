import { writeFileSync } from 'node:fs';
import { expect } from 'chai';
import { interview } from '../../lib/cli/doctor/interview';
import { temporaryFolder } from '../demo/helpers';

const PATIENT = 50_000;

describe('the interview', () => {
  const path = temporaryFolder();

  /** A program that answers each step with its name and its process's number, but those that are done otherwise. */
  function program(otherwise: string): string {
    const file = path('program.cjs');
    writeFileSync(
      file,
      `const { writeSync } = require('node:fs');
      const answer = (step) => writeSync(3, JSON.stringify({ step, answer: { value: step + ' ' + process.pid } }) + '\\n');
      const otherwise = { ${otherwise} };
      for (const step of process.argv.slice(2)) (otherwise[step] ?? answer)(step);`,
    );
    return file;
  }

  async function ask(otherwise: string, patience = PATIENT) {
    const answers = await interview(program(otherwise), ['a', 'b', 'c'], patience);
    return ['a', 'b', 'c'].map((step) => answers.get(step)!);
  }

  it('asks one process everything where that goes well', async () => {
    const [a, b, c] = await ask('');
    expect(a!.value).to.match(/^a \d+$/);
    const process = String(a!.value).slice(1);
    expect([b!.value, c!.value]).to.deep.equal([`b${process}`, `c${process}`]);
  });

  it('takes the end of the process for the answer, with its last words, and asks another one for the rest', async () => {
    const [a, b, c] = await ask(`b: () => { writeSync(2, 'first\\nlast words\\n'); process.kill(process.pid, 'SIGABRT'); }`);
    expect(b!.failure!.message).to.equal('the process that tried it ended by SIGABRT, saying: last words');
    expect(String(a!.value).slice(1)).not.to.equal(String(c!.value).slice(1));
    expect(c!.value).to.match(/^c \d+$/);
  });

  it('takes an early end without words, too', async () => {
    const [, b, c] = await ask('b: () => process.exit(7)');
    expect(b!.failure!.message).to.equal('the process that tried it ended with status 7');
    expect(c!.value).to.match(/^c/);
  });

  it('bears an answer that is cut off', async () => {
    const [a, b, c] = await ask(`b: () => { writeSync(3, '{"step":"b","ans'); process.exit(1); }`);
    expect(a!.value).to.match(/^a/);
    expect(b!.failure!.message).to.include('status 1');
    expect(c!.value).to.match(/^c/);
  });

  it('waits for each answer anew, and not for one that never comes', async () => {
    const patience = 5_000; // more than Node.js needs to start here
    const slow = '{ Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_000); answer(step); }';
    const [a, b, c] = await ask(`a: (step) => ${slow}, b: (step) => ${slow}, c: () => { for (;;); }`, patience);
    expect(a!.value).to.match(/^a/);
    expect(b!.value).to.match(/^b/);
    expect(c!.failure!.message).to.equal('no answer within 5 s');
  });

  it('answers every step where no process can be started', async () => {
    const { execPath } = process;
    process.execPath = path('no-such-program');
    try {
      for (const answer of await ask('')) expect(answer.failure!.message).to.include('ENOENT');
    } finally {
      process.execPath = execPath;
    }
  });
});
