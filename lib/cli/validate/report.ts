/** The page of --report: what was compared with what, how far apart it is, and what could not be compared. */

import { details, figure, heatMap, page, paragraph, scatterPlot, section, table } from '../../report';
import { DTYPES } from '../../validation/number_format';
import { ACTIVATIONS } from '../../validation/oracle';
import type { Validation } from '../validate';
import { type Case, OPERATIONS } from './cases';
import { DATA_KINDS, DATA_WORDS } from './data';
import { environmentOf } from './environment';
import type { CaseResult, Measured, Sample } from './judge';
import { reproduction, TOLERANCES } from './options';
import { QUANTITIES, type Quantity } from './reference';
import { type Failure, groupBy, worstMeasured } from './summary';
import { DIFFERENCE_HEADER, describeFailure, describeVerdicts, differenceCells, ROW_HEADER, rowCells, share } from './text';

/** Shares of the tolerance at which the colour changes. */
const LIMITS = [0.02, 0.1, 0.25, 0.5, 1];

/** Of a plot that stands beside others. */
const PANEL = { width: 520, height: 360 };

const OPERATION_WORDS: Record<Case['operation'], string> = {
  training: 'training',
  inference: 'inference',
  backward: 'backward',
  'backward-constant': 'backward, constant statistics',
};

export function makeReport(validation: Validation): string {
  const { summary, options } = validation;
  const failed = summary.failures.length;
  const verdict = failed === 0 ? 'All results of ours are within their tolerances' : `${failed} results FAILED`;
  return page({
    title: 'Batch normalization, validated',
    lead: `${summary.cases} problems with seed ${options.seed}, each result held against a reference in float64. ${verdict}.`,
    body: [
      describeOutcome(validation),
      describeFailures(validation),
      describeHeat(validation),
      describeScatter(validation),
      describeTables(validation),
      describeMissing(validation),
      describeSetting(validation),
    ].join('\n'),
  });
}

function describeOutcome({ subjects, summary }: Validation): string {
  const rows = subjects.map(({ name, device }) => [name, describeVerdicts(summary.verdicts[name]!), device.description]);
  return section(
    'Outcome',
    table({ caption: 'Problems by how they ended', columns: ['Backend', 'Problems', 'Device'], rows, words: true }),
  );
}

function describeFailures({ summary: { failures, deviations }, options }: Validation): string {
  const columns = ['Problem', 'Backend', 'What', 'Again'];
  const rowsOf = (list: readonly Failure[]) =>
    list.map(({ case: name, outcome }) => [name, outcome.subject, describeFailure(outcome), reproduction(options, name)]);
  const parts = [
    ...(failures.length > 0 ? [table({ caption: 'Failures', columns, rows: rowsOf(failures), words: true })] : []),
    ...(deviations.length > 0
      ? [
          paragraph(
            "Here cuDNN's results lie beyond the tolerances that ours are held to. It is what we compare with: that is no failure.",
          ),
          details(
            `${deviations.length} results of cuDNN`,
            table({ caption: 'cuDNN beyond our tolerances', columns, rows: rowsOf(deviations), words: true }),
          ),
        ]
      : []),
  ];
  return parts.length === 0 ? '' : section('Beyond the tolerances', ...parts);
}

function describeHeat({ subjects, results }: Validation): string {
  const text =
    'Each number is the greatest error of a group of problems as a share of its tolerance: 1 is all that the arithmetic allows, more is wrong. A dash: no such problem.';
  const maps = subjects.flatMap(({ name }) => {
    const measured = measuredOn(results, name);
    if (measured.length === 0) return [];
    return [`<h3>${name}</h3>`, heatOfOperations(name, measured), heatOfInputs(name, measured)];
  });
  return section('Errors at a glance', paragraph(text), ...maps);
}

type Located = Measured & { case: Case };

function measuredOn(results: readonly CaseResult[], subject: string): Located[] {
  return results.flatMap(({ case: problem, outcomes }) =>
    outcomes.filter((outcome) => outcome.subject === subject).flatMap(({ measured }) => measured.map((one) => ({ ...one, case: problem }))),
  );
}

function greatestShare(measured: readonly Located[]): number | null {
  return measured.length === 0 ? null : worstMeasured(measured).worst.share;
}

function heatOfOperations(subject: string, measured: readonly Located[]): string {
  const groups = OPERATIONS.flatMap((operation) => QUANTITIES.map((quantity) => ({ operation, quantity })));
  const rows = groups.map(({ operation, quantity }) => {
    const group = measured.filter((one) => one.case.operation === operation && one.quantity === quantity);
    return {
      name: `${OPERATION_WORDS[operation]}: ${quantity}`,
      values: DTYPES.map((dtype) => greatestShare(group.filter((one) => one.case.dtype === dtype))),
    };
  });
  const caption = `${subject}: what is computed, by the dtype of the input`;
  return heatMap({ caption, columns: DTYPES, rows: withValues(rows), limits: LIMITS, format: share });
}

function heatOfInputs(subject: string, measured: readonly Located[]): string {
  const row = (name: string, belongs: (problem: Case) => boolean) => {
    const group = measured.filter((one) => belongs(one.case));
    return { name, values: QUANTITIES.map((quantity) => greatestShare(group.filter((one) => one.quantity === quantity))) };
  };
  const layouts = groupBy(measured, ({ case: { layout } }) => layoutName(layout)).map((group) => layoutName(group[0]!.case.layout));
  const rows = [
    ...DATA_KINDS.map((kind) => row(`data: ${kind}`, ({ data }) => data === kind)),
    ...layouts.map((name) => row(name, ({ layout }) => layoutName(layout) === name)),
    ...ACTIVATIONS.flatMap((kind) => [
      row(kind, ({ activation, residual }) => activation === kind && !residual),
      row(`${kind}, residual`, ({ activation, residual }) => activation === kind && residual),
    ]),
  ];
  const caption = `${subject}: what it is computed from`;
  return heatMap({ caption, columns: QUANTITIES, rows: withValues(rows), limits: LIMITS, format: share });
}

const layoutName = ({ kind, shape }: Case['layout']): string => `${kind.replace('-', ' ')}, ${shape.join('×')}`;

function withValues<T extends { values: readonly (number | null)[] }>(rows: readonly T[]): T[] {
  return rows.filter(({ values }) => values.some((value) => value !== null));
}

/** Against cuDNN where there is one on the device, else against the reference. */
function describeScatter({ results }: Validation): string {
  const samples = results.flatMap((result) => result.samples);
  const compared = new Set(samples.filter(({ reference }) => reference !== ORACLE).map(({ native }) => native));
  const drawn = samples.filter(({ native, reference }) => reference !== ORACLE || !compared.has(native));
  if (drawn.length === 0) return '';
  const figures = groupBy(drawn, ({ native, reference }) => `${native} ${reference}`).map(scatterFigure);
  const text =
    'Some elements of each problem with ordinary data. On the line both are equal; the last plot shows what is left between them, which the others are too coarse for.';
  return section('Value by value', paragraph(text), ...figures);
}

const ORACLE = 'oracle';

function scatterFigure(samples: readonly Sample[]): string {
  const { native, reference } = samples[0]!;
  const name = reference === ORACLE ? 'float64 reference' : reference;
  const plots = QUANTITIES.flatMap((quantity) => {
    const some = samples.filter((sample) => sample.quantity === quantity);
    return some.length === 0 ? [] : [scatterOf(quantity, some, native, name)];
  });
  const caption =
    reference === ORACLE
      ? `${native} against the float64 reference (no cuDNN was compared on this device), coloured by the dtype of the result.`
      : `${native} against ${name} on the same inputs, coloured by the dtype of the result.`;
  return figure([...plots, differencePlot(samples, native, name)], caption);
}

function byDType(samples: readonly Sample[], x: (sample: Sample) => number, y: (sample: Sample) => number) {
  return DTYPES.flatMap((dtype, color) => {
    const some = samples.filter((sample) => sample.dtype === dtype);
    return some.length === 0 ? [] : [{ name: dtype, color, x: some.map(x), y: some.map(y) }];
  });
}

function scatterOf(quantity: Quantity, samples: readonly Sample[], native: string, reference: string): string {
  return scatterPlot({
    title: `${quantity}: ${native} against ${reference}`,
    description: `${samples.length} values of ${quantity}: across what ${reference} gives, up what ${native} gives.`,
    xLabel: reference,
    yLabel: native,
    diagonal: true,
    series: byDType(
      samples,
      ({ expected }) => expected,
      ({ actual }) => actual,
    ),
    ...PANEL,
  });
}

function differencePlot(samples: readonly Sample[], native: string, reference: string): string {
  const equal = samples.filter(({ actual, expected }) => actual === expected).length;
  return scatterPlot({
    title: 'What is left between them, all quantities',
    description: `Difference of ${native} from ${reference} over the size of the value. ${equal} of ${samples.length} values are equal and not drawn.`,
    xLabel: `size of the value (log); ${equal} of ${samples.length} are equal and not drawn`,
    yLabel: 'difference (log)',
    xScale: 'log',
    yScale: 'log',
    series: byDType(
      samples,
      ({ expected }) => Math.abs(expected),
      ({ actual, expected }) => Math.abs(actual - expected),
    ),
    ...PANEL,
  });
}

function describeTables({ subjects, results, summary }: Validation): string {
  const errors = subjects.map(({ name }) =>
    table({
      caption: `${name}: greatest errors against float64`,
      columns: ROW_HEADER,
      rows: summary.rows.filter(({ subject }) => subject === name).map(rowCells),
    }),
  );
  const differences = groupBy(summary.differences, ({ native, reference }) => `${native} ${reference}`).map((rows) =>
    table({
      caption: `${rows[0]!.native} and ${rows[0]!.reference}: greatest differences on the same inputs`,
      columns: DIFFERENCE_HEADER,
      rows: rows.map(differenceCells),
    }),
  );
  const all = table({
    caption: 'Greatest share of the tolerance, and the quantity it is of',
    columns: ['Problem', ...subjects.map(({ name }) => name)],
    rows: results.map(({ case: { name }, outcomes }) => [name, ...outcomes.map(({ verdict, measured }) => cellOf(verdict, measured))]),
  });
  return section('Numbers', ...errors, ...differences, details(`All ${results.length} problems`, all));
}

function cellOf(verdict: string, measured: readonly Measured[]): string {
  if (measured.length === 0) return verdict;
  const { quantity, worst } = worstMeasured(measured);
  return `${verdict}, ${share(worst.share)} ${quantity}`;
}

function describeMissing({ summary, leftOut, notCompared }: Validation): string {
  const rows = [
    ...notCompared.map(({ name, reason }) => [name, reason]),
    ...summary.unsupported.map(({ subject, message, cases }) => [subject, `${cases.length} problems, such as ${cases[0]}: ${message}`]),
    ...leftOut.map((words) => ['not run', words]),
  ];
  if (rows.length === 0) return section('Not compared', paragraph('Everything was compared.'));
  return section('Not compared', table({ caption: 'What could not be compared, and why', columns: ['What', 'Why'], rows, words: true }));
}

function describeSetting({ subjects, options, seconds }: Validation): string {
  const { version, node, platform, devices, backends } = environmentOf(subjects);
  const rows = [
    ['cuda-batchnorm', version],
    ['Node.js', `${node}, ${platform}`],
    ...devices.map(({ name, description }) => [name, description]),
    ...backends.map(({ name, available, version: library, reason }) => [`backend ${name}`, available ? (library ?? 'available') : reason!]),
    ['Seed', String(options.seed)],
    ['Problems', options.shapes ?? (options.quick ? 'built in, --quick' : 'built in')],
    ['Time', `${seconds.toFixed(1)} s`],
    ...DATA_KINDS.map((kind) => [`data: ${kind}`, DATA_WORDS[kind]]),
  ];
  return section(
    'Setting and tolerances',
    paragraph(TOLERANCES),
    paragraph('Any problem here runs again, with the same data, by its name:'),
    `<p><code>${reproduction(options, 'NAME')}</code></p>`,
    table({ caption: 'Where this was measured', columns: ['What', 'Value'], rows, words: true }),
  );
}
