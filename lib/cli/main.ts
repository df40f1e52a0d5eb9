#!/usr/bin/env node
/** `cuda-batchnorm <command>`: finds the command, and turns failures into one line and an exit code (1; 2 for a wrong call). */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from './usage';

interface Command {
  summary: string;
  /** Loaded when called, so that help needs nothing but this file. */
  load: () => Promise<{ run(args: string[]): Promise<void> }>;
}

const COMMANDS: Record<string, Command> = {
  doctor: { summary: 'say what works here, and why what does not work does not', load: () => import('./doctor.js') },
  demo: { summary: 'train a digit classifier with and without batch norm, and write a report', load: () => import('./demo.js') },
  validate: { summary: 'compare every backend that works here with float64, and ours with cuDNN', load: () => import('./validate.js') },
  lab: { summary: 'put what is said of batch norm to the test, and write a report', load: () => import('./lab.js') },
  fold: { summary: 'fold the batch norms of a model file into the layers before them', load: () => import('./fold.js') },
};

function help(): string {
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(10)} ${summary}`);
  return [
    'Usage: cuda-batchnorm <command> [options]',
    '',
    ...lines,
    '',
    "'cuda-batchnorm <command> --help' lists the options of a command, 'cuda-batchnorm --version' tells the version.",
    '',
  ].join('\n');
}

async function main([name, ...args]: string[]): Promise<void> {
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(help());
    return;
  }
  if (name === '--version') {
    process.stdout.write(`${await packageVersion()}\n`);
    return;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name]! : undefined;
  if (command === undefined) throw new UsageError(`there is no command '${name}'; there are: ${Object.keys(COMMANDS).join(', ')}`);
  await (await command.load()).run(args);
}

/** What would command a terminal: messages may have names in them that come from a file. */
const CONTROL = /(?!\n)\p{C}/gu;

function report(error: unknown, name: string | undefined): number {
  const wrongCall = error instanceof UsageError;
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`cuda-batchnorm: ${message.replaceAll(CONTROL, '?')}\n`);
  if (wrongCall)
    process.stderr.write(`Try 'cuda-batchnorm ${name !== undefined && Object.hasOwn(COMMANDS, name) ? `${name} ` : ''}--help'.\n`);
  if (process.env.DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return wrongCall ? 2 : 1;
}

async function packageVersion(): Promise<string> {
  const { packageRoot } = await import('../addon.js');
  const manifest = JSON.parse(readFileSync(join(packageRoot(__dirname), 'package.json'), 'utf8')) as { version: string };
  return manifest.version;
}

/** A reader that has seen enough closes the pipe; whatever else keeps output from being written is told in a line. */
function endOutput(error: NodeJS.ErrnoException): never {
  if (error.code === 'EPIPE') process.exit();
  process.stderr.write(`cuda-batchnorm: the output cannot be written: ${error.message}\n`);
  process.exit(1);
}

process.stdout.on('error', endOutput);
const args = process.argv.slice(2);
main(args).catch((error: unknown) => {
  process.exitCode = report(error, args[0]);
});
