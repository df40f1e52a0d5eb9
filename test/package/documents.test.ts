// The documents say what is: their code runs, and the commands they name exist.
import fs from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { root, run } from './packed';

const read = (...file: string[]) => fs.readFileSync(path.join(root, ...file), 'utf8');
const scripts = Object.keys(JSON.parse(read('package.json')).scripts);

describe('the documents', () => {
  it("show examples/first_use.mjs as the README's first use", () => {
    const block = /```ts\n([\s\S]*?)```/.exec(read('README.md'))?.[1];
    expect(block).to.equal(read('examples', 'first_use.mjs').replace(/^\/\/.*\n+/gm, ''));
  });

  const examples = fs.readdirSync(path.join(root, 'examples')).filter((file) => file.endsWith('.mjs'));
  const commands = [...read('README.md').matchAll(/^\| [^|]+ \| `([^`|]*node examples\/(\w+\.mjs))` \|$/gm)];

  it('have a command for every example', () => {
    expect(commands.map(([, , example]) => example)).to.have.members(examples);
  });

  for (const [, command = '', example = ''] of commands)
    it(`have a command that runs ${example}, which names it too`, function () {
      this.timeout('2m');
      expect(run('bash', ['-c', command], root)).to.match(/\d/);
      expect(read('examples', example))
        .to.match(/^\/\/ .*/)
        .and.to.include(command);
    });

  for (const document of ['README.md', 'CONTRIBUTING.md'])
    it(`name only commands that exist, in ${document}`, () => {
      const named = new Set([...read(document).matchAll(/npm run (?!-)([\w:]+)/g)].map(([, name]) => name));
      expect(named).to.not.be.empty;
      expect(scripts).to.include.members([...named]);
    });

  it('give the command that CI runs', () => {
    expect(read('README.md')).to.include('./setup.sh && npm test\n');
    expect(read('.ci', 'run')).to.include('./setup.sh && npm test');
  });
});
