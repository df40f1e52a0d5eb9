/** The documentation that `npm run docs` writes: every guide is there, every link leads somewhere, and a browser opens it. */

import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { useBrowser } from '../helpers/browser';
import { guideNames, readGuide } from '../helpers/guides';
import { root, run, temporaryFolder } from './packed';

describe('the documentation site', function () {
  this.timeout('5m');
  const folder = temporaryFolder();
  before(() => run(process.execPath, [path.join('node_modules', 'typedoc', 'bin', 'typedoc'), '--out', folder], root));
  after(() => fs.rmSync(folder, { recursive: true }));

  const pages = () => fs.readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.html'));
  const read = (page: string) => fs.readFileSync(path.join(folder, page), 'utf8');

  it('has a page for each guide, which the first page leads to', () => {
    const titles = guideNames().map((name) => /^title: (.*)$/m.exec(readGuide(name))![1]!);
    const index = read('index.html');
    for (const title of titles) {
      const page = `documents/${title.replaceAll(' ', '_')}.html`;
      expect(index).to.include(`href="${page}"`);
      expect(read(page)).to.match(new RegExp(`<h1[^>]*>${title}`));
    }
  });

  it('has no link that leads nowhere', () => {
    const dead = pages().flatMap((page) => deadLinks(folder, page));
    expect(pages()).to.include('classes/index.BatchNorm.html');
    expect(dead).to.deep.equal([]);
  });

  describe('in a browser', () => {
    const open = useBrowser();

    it('shows a guide with its plots, leads to another, and has no complaint', async () => {
      const site = pathToFileURL(folder).href;
      const { page, complaints } = await open(path.join(folder, 'documents', 'Performance.html'), { scheme: 'light', width: 1200 });
      const widths = await page.evaluate('[...document.querySelectorAll("img")].map((image) => image.naturalWidth)');
      expect(widths).to.be.an('array').that.is.not.empty.and.does.not.include(0);
      await page.getByRole('link', { name: 'Numerics' }).first().click();
      await page.waitForURL(`${site}/documents/Numerics.html`);
      // A page that is a file may not load icons from another one; TypeDoc knows, and its script puts them into the page.
      const known = [`request: ${site}/`, `console: Unsafe attempt to load URL ${site}/assets/icons.svg#`];
      expect(complaints.filter((complaint) => !known.some((beginning) => complaint.startsWith(beginning)))).to.deep.equal([]);
    });
  });
});

/** Links and images of a page that are on the site and lead to no file, or to no place in it. */
function deadLinks(folder: string, page: string): string[] {
  const html = fs.readFileSync(path.join(folder, page), 'utf8');
  const addresses = [...html.matchAll(/(?:href|src)="([^"]*)"/g)].map(([, address]) => address!.replaceAll('&amp;', '&'));
  return addresses
    .filter((address) => !/^(\w+:|$)/.test(address))
    .filter((address) => {
      const [file = '', anchor = ''] = address.split('#');
      const target = file === '' ? path.join(folder, page) : path.join(folder, path.dirname(page), file);
      if (!fs.existsSync(target) || fs.statSync(target).isDirectory()) return true;
      return anchor !== '' && target.endsWith('.html') && !fs.readFileSync(target, 'utf8').includes(`id="${decodeURIComponent(anchor)}"`);
    })
    .map((address) => `${page}: ${address}`);
}
