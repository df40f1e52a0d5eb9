import { type ParseArgsConfig, parseArgs } from 'node:util';

/** A command called wrongly: the message goes to the user together with the way to the command's help. */
export class UsageError extends Error {}

type OptionsConfig = NonNullable<ParseArgsConfig['options']>;
type Values<Options extends OptionsConfig> = ReturnType<typeof parseArgs<{ args: string[]; options: Options }>>['values'];

/** Node.js's message, which may have several lines, in one. */
function wrongOption(error: unknown): UsageError {
  return new UsageError((error as Error).message.replaceAll(/\s*\n/g, ' '), { cause: error });
}

/** The values of a command's options. @throws {UsageError} for options it does not have, and for arguments. */
export function readCommandLine<const Options extends OptionsConfig>(args: readonly string[], options: Options): Values<Options> {
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw wrongOption(error);
  }
}

/** The number of --seed. @throws {UsageError} */
export function readSeed(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value < 2 ** 32) return value;
  throw new UsageError(`expected an integer from 0 to 2^32 - 1 for --seed but received '${text}'`);
}

/** The name of --device; whether it works here is another question. @throws {UsageError} */
export function readDevice(text: string): string {
  if (/^(auto|cpu|cuda(:\d+)?)$/.test(text)) return text;
  throw new UsageError(`expected auto, cpu, cuda or cuda:N for --device but received '${text}'`);
}

/** As {@link readCommandLine}, for a command that takes files too. */
export function readFilesAndOptions<const Options extends OptionsConfig>(
  args: readonly string[],
  options: Options,
): { files: string[]; values: Values<Options> } {
  try {
    const { positionals, values } = parseArgs({ args: [...args], options, allowPositionals: true });
    return { files: positionals, values };
  } catch (error) {
    throw wrongOption(error);
  }
}
