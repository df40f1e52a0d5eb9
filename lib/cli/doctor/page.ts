/** A diagnosis for people: a line or more for each finding, in ASCII but for what others named, within the terminal's width. */

import type { Diagnosis } from './diagnosis';
import type { Finding, Status } from './finding';

const SIGNS: Record<Status, string> = { ok: 'ok', optional: '--', problem: '!!' };
const COLOURS: Record<Status, number> = { ok: 32, optional: 90, problem: 31 }; // green, grey, red

const INDENT = 20; // of everything but signs and subjects

export interface Style {
  /** Columns of the page. */
  width: number;
  colour: boolean;
}

export function layOut(diagnosis: Diagnosis, style: Style): string {
  const findings = diagnosis.findings.flatMap((finding) => describe(finding, style));
  return [
    `cuda-batchnorm ${diagnosis.version}`,
    '',
    ...findings,
    '',
    ...wrap(verdict(diagnosis), style.width),
    `${SIGNS.ok}: works   ${SIGNS.optional}: not in use, not needed   ${SIGNS.problem}: needs attention`,
    '',
  ].join('\n');
}

function describe({ subject, status, found, consequence, remedies = [] }: Finding, { width, colour }: Style): string[] {
  const room = width - INDENT;
  const sign = colour ? `\x1b[${COLOURS[status]}m${SIGNS[status]}\x1b[0m` : SIGNS[status];
  const [first, ...rest] = [
    ...found.split('\n').flatMap((line) => wrap(line, room)),
    ...(consequence === undefined ? [] : wrap(consequence, room)),
    ...remedies.flatMap((remedy) => wrap(remedy, room - 3).map((line, index) => `${index === 0 ? '-> ' : '   '}${line}`)),
  ];
  return [` ${sign}  ${subject.padEnd(INDENT - 5)}${first}`, ...rest.map((line) => ' '.repeat(INDENT) + line)];
}

function verdict({ works, auto, findings }: Diagnosis): string {
  if (!works) return 'Batch norm does not work here: see what is marked !! above.';
  if (auto === null) return "Batch norm works here on device 'cpu', and not on 'auto': see what is marked !! above.";
  const problems = findings.filter(({ status }) => status === 'problem').length;
  const remark = problems === 0 ? '' : ` ${problems === 1 ? 'One thing needs' : `${problems} things need`} attention.`;
  return `Batch norm works here: device 'auto' is ${auto}.${remark}`;
}

/** Lines of whole words and whole `commands`; one that is longer than the room, such as a path, has a line of its own. */
function wrap(text: string, room: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.match(/(`[^`]*`|\S)+/g) ?? []) {
    if (line !== '' && line.length + 1 + word.length > room) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
