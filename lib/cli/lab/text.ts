/** The outcome as text: lines for people, JSON for programs. */

import { formatNumber } from '../../report';
import type { LabResult, Outcome } from '../lab';

const WIDTH = 20;
/** Of a line on a terminal that is not narrow. */
const LINE = 120;

export const verdictOf = ({ finding }: Outcome): string => (finding.shown ? 'shown' : 'not shown');

export function introduce({ task, options, device }: Pick<LabResult, 'task' | 'options' | 'device'>): string {
  const kind = options.quick ? 'quick: small networks, short trainings' : 'full';
  return [
    `Data        ${task.source}: ${task.train.count} to train on, ${task.test.count} to test on`,
    `Batch norm  on ${device.name} (${device.description})`,
    `Size        ${kind}, seed ${options.seed}`,
    '',
    '',
  ].join('\n');
}

/** One experiment, when it is done. */
export function describeOutcome(outcome: Outcome): string {
  const { experiment, finding } = outcome;
  const { name, value } = finding.numbers[0]!;
  return [
    `${experiment.name.padEnd(WIDTH)} ${verdictOf(outcome).padEnd(10)} ${formatNumber(value)} ${name}`,
    ...wrap(finding.sentence, LINE - WIDTH - 1).map((line) => `${' '.repeat(WIDTH)} ${line}`),
    '',
  ].join('\n');
}

/** Words in lines of at most that many characters, but for a word that is longer. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

export function describe({ outcomes, options, seconds }: LabResult): string {
  const shown = outcomes.filter(({ finding }) => finding.shown).length;
  const rows = outcomes.map((outcome) => {
    const { name, value } = outcome.finding.numbers[0]!;
    return `  ${outcome.experiment.name.padEnd(WIDTH)} ${verdictOf(outcome).padEnd(10)} ${formatNumber(value).padStart(9)}  ${name}`;
  });
  return [
    '',
    ...rows,
    '',
    `${shown} of ${outcomes.length} shown, seed ${options.seed}, ${seconds.toFixed(0)} s.`,
    ...(options.report === undefined ? [] : [`Report: ${options.report}`]),
    '',
  ].join('\n');
}

/** Infinities and NaN as strings, for JSON has no numbers for them. */
export function forPrograms({ task, options, device, outcomes, seconds }: LabResult): string {
  const content = {
    data: { source: task.source, train: task.train.count, test: task.test.count },
    options: { seed: options.seed, quick: options.quick, data: options.data, report: options.report },
    device: { name: device.name, description: device.description },
    experiments: outcomes.map((outcome) => {
      const { experiment, finding, seconds: spent } = outcome;
      const { name, title, claim, source, criterion } = experiment;
      const { numbers, sentence, setting, plots } = finding;
      return {
        name,
        title,
        claim,
        source,
        criterion,
        setting,
        verdict: verdictOf(outcome),
        numbers,
        sentence,
        plots,
        seconds: spent,
      };
    }),
    seconds,
  };
  const replacer = (_key: string, value: unknown) => (typeof value === 'number' && !Number.isFinite(value) ? String(value) : value);
  return `${JSON.stringify(content, replacer, 2)}\n`;
}
