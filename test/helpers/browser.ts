/** Opens a page of ours in a real browser that can reach nothing else, and tells what went wrong on it. */

import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { skip } from './shared';

/** Where Debian's package puts it. */
const CHROMIUM = '/usr/bin/chromium';

export interface OpenPage {
  page: Page;
  /** Errors and warnings of the console, exceptions, and requests for anything but the file. */
  complaints: string[];
}

/** A browser for the tests around it; they are skipped where there is none. */
export function useBrowser(): (file: string, view: { scheme: 'light' | 'dark'; width: number }) => Promise<OpenPage> {
  let browser: Browser | undefined;
  before(async function () {
    if (!existsSync(CHROMIUM)) skip(this, `there is no ${CHROMIUM}`);
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  });
  after(() => browser?.close());
  return async (file, { scheme, width }) => {
    const context = await browser!.newContext({ colorScheme: scheme, viewport: { width, height: 900 }, offline: true });
    const page = await context.newPage();
    const complaints: string[] = [];
    const address = pathToFileURL(file).href;
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') complaints.push(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => complaints.push(`exception: ${error.message}`));
    page.on('request', (request) => {
      if (request.url() !== address) complaints.push(`request: ${request.url()}`);
    });
    await page.goto(address);
    return { page, complaints };
  };
}

/** Width and height of everything on the page that the selector finds. */
export async function boxesOf(page: Page, selector: string): Promise<{ width: number; height: number }[]> {
  const found = await page.locator(selector).all();
  return Promise.all(found.map(async (element) => (await element.boundingBox()) ?? { width: 0, height: 0 }));
}

/** By how many pixels the page is wider than the window. */
export function overflowOf(page: Page): Promise<number> {
  return page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
}

/** The colour behind the first thing that the selector finds, as the browser computes it: `rgb(255, 255, 255)`. */
export function backgroundOf(page: Page, selector = 'body'): Promise<string> {
  return page.evaluate(`getComputedStyle(document.querySelector(${JSON.stringify(selector)})).backgroundColor`);
}
