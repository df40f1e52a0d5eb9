/** The file of a report, in a folder that may have to be made. */

import { constants, existsSync } from 'node:fs';
import { access, mkdir, open, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { UsageError } from './usage';

/** Makes the file's folder. Called before the work that the report is about: what cannot be written had better be known then. */
export async function prepareReport(file: string): Promise<void> {
  try {
    const folder = dirname(resolve(file));
    await makeFolder(folder);
    await access(`${folder}/.`, constants.W_OK); // a file in its place is no folder
    if (existsSync(file)) await checkFile(file);
  } catch (error) {
    throw new UsageError(`the file of --report, '${file}', cannot be written: ${(error as Error).message}`, { cause: error });
  }
}

// Opened, and left as it is: that is what writing it will ask for.
async function checkFile(file: string): Promise<void> {
  if (!(await stat(file)).isFile()) throw new Error('it is no ordinary file'); // before open(), which waits at a pipe
  const opened = await open(file, constants.O_WRONLY);
  await opened.close();
}

// Not by mkdir's option `recursive`, which does not end where the system refuses to make a folder in one that exists, as in /proc.
async function makeFolder(folder: string): Promise<void> {
  if (existsSync(folder)) return;
  await makeFolder(dirname(folder));
  await mkdir(folder);
}
