/** The programs in the guides' blocks of code, and what the guides say that they print. */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { outputOf } from './program';

const ROOT = join(__dirname, '../..');
export const GUIDES = join(ROOT, 'guides');
const FOLDER = join(ROOT, 'out/guides'); // in the package, so that its name, and those of its development dependencies, resolve
const MARK = '--- end of a block ---';

export interface Block {
  /** Where it begins in the guide. */
  line: number;
  language: string;
  /** What follows the language: `cuda` where the block needs such a device. */
  needs: string;
  text: string;
  /** The `text` block that comes next, if one does before any other: what this one prints. */
  output?: string;
}

/** The blocks between two imports: one that begins without any goes on where the block before it ended. */
export interface Program {
  guide: string;
  line: number;
  cuda: boolean;
  blocks: Block[];
}

export const guideNames = (): string[] => readdirSync(GUIDES).filter((name) => name.endsWith('.md'));

export const readGuide = (name: string): string => readFileSync(join(GUIDES, name), 'utf8');

/** All fenced blocks, a `text` one being given to the block it follows. */
export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  for (const match of markdown.matchAll(/^```(\w*) ?(\w*)\n([\s\S]*?)^```$/gm)) {
    const [, language = '', needs = '', text = ''] = match;
    const last = blocks.at(-1);
    if (language === 'text' && last?.language === 'js' && last.output === undefined) last.output = text;
    else blocks.push({ line: markdown.slice(0, match.index).split('\n').length, language, needs, text });
  }
  return blocks;
}

export function programsOf(guide: string): Program[] {
  const programs: Program[] = [];
  for (const block of blocksOf(readGuide(guide)).filter(({ language }) => language === 'js')) {
    if (block.text.startsWith('import ')) programs.push({ guide, line: block.line, cuda: block.needs === 'cuda', blocks: [] });
    const program = programs.at(-1);
    if (program === undefined) throw new Error(`${guide}:${block.line}: the first block of a guide must import what it uses`);
    program.blocks.push(block);
  }
  return programs;
}

/** What each block of the program printed. */
export function runProgram({ guide, line, blocks }: Program, settings?: NodeJS.ProcessEnv): string[] {
  mkdirSync(FOLDER, { recursive: true });
  const file = join(FOLDER, `${guide}_${line}.mjs`);
  writeFileSync(file, blocks.map(({ text }) => `${text}console.log('${MARK}');\n`).join(''));
  return outputOf(file, [], settings).split(`${MARK}\n`).slice(0, -1);
}
