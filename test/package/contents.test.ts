import fs from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { pack, root, temporaryFolder } from './packed';

describe('the packed files', () => {
  const folder = temporaryFolder();
  let files: string[];
  before(() => {
    ({ files } = pack(folder));
  });
  after(() => fs.rmSync(folder, { recursive: true }));

  it('are what a user needs and nothing else', () => {
    const wanted = [
      /^(package\.json|(README|ARCHITECTURE|CONTRIBUTING|CHANGELOG)\.md|LICENSE)$/,
      /^guides\/(\w+\.md|plots\/\w+\.svg)$/,
      /^examples\/(\w+\.mjs|other_addon\/(CMakeLists\.txt|package\.json|\w+\.cc))$/,
      /^(CMakeLists\.txt|binding\.gyp|scripts\/(install|build_native)\.js)$/,
      /^dist\/lib\/.*(?<!\.test)\.(js|d\.ts)$/,
      /^native\/.*\.(h|cc|cuh|cu)$/,
      /^native\/cuda\/(CMakeLists\.txt|find_compiler\.cmake|compile\.sh)$/,
      /^native\/cudnn\/CMakeLists\.txt$/,
    ];
    expect(files.filter((file) => !wanted.some((pattern) => pattern.test(file)))).to.deep.equal([]);
  });

  it('hold everything package.json and the build name', () => {
    const manifest = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
    const named = [manifest.main, manifest.types, manifest.bin['cuda-batchnorm'], ...Object.values(manifest.exports).flatMap(targets)];
    expect(files).to.include.members([...named.map((file) => path.posix.normalize(file)), 'CMakeLists.txt', 'binding.gyp', 'LICENSE']);
  });

  it('hold everything that the documents in them link to, and every example', () => {
    const documents = files.filter((file) => file.endsWith('.md') && file !== 'CHANGELOG.md');
    expect(documents).to.include.members(['README.md', 'guides/first_use.md']);
    const links = documents.flatMap((file) => linksOf(file).map((link) => path.posix.join(path.posix.dirname(file), link)));
    expect(files).to.include.members(links);
    const examples = fs.readdirSync(path.join(root, 'examples')).filter((file) => file.endsWith('.mjs'));
    expect(files).to.include.members(examples.map((file) => `examples/${file}`));
  });

  it('hold every native source', () => {
    const sources = fs.readdirSync(path.join(root, 'native'), { recursive: true, encoding: 'utf8' });
    const wanted = sources.filter((file) => /\.\w+$/.test(file) && !file.endsWith('.md')).map((file) => path.posix.join('native', file));
    expect(files.filter((file) => file.startsWith('native/'))).to.have.members(wanted);
  });

  it('hold a library file for every source, and none for sources that are gone', () => {
    const sources = fs.readdirSync(path.join(root, 'lib'), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
    const expected = sources.map((file) => path.posix.join('dist/lib', file.replace(/\.ts$/, '.js')));
    expect(files.filter((file) => /^dist\/.*\.js$/.test(file))).to.have.members(expected);
  });
});

/** The files beside a document that it links to. */
function linksOf(document: string): string[] {
  const links = fs.readFileSync(path.join(root, document), 'utf8').matchAll(/\]\(([^)#\s]+)(?:#[^)\s]*)?\)/g);
  return [...links].map(([, link]) => link!).filter((link) => !/^\w+:/.test(link));
}

/** The files an entry of "exports" names. */
function targets(entry: unknown): string[] {
  return typeof entry === 'string' ? [entry] : Object.values(entry as Record<string, string>);
}
