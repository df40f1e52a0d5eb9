/** The page of --report: one section for each experiment, and all verdicts on top. */

import type { Finding, Plot } from '../../lab';
import { barPlot, details, escapeHtml, figure, formatNumber, linePlot, page, paragraph, section, table } from '../../report';
import type { LabResult, Outcome } from '../lab';
import { verdictOf } from './text';

/** What is more is folded away. */
const MOST_NUMBERS = 10;

/** Of a plot that stands beside another. */
const PANEL = { width: 520, height: 340 };

export function makeReport(result: LabResult): string {
  const { outcomes } = result;
  const shown = outcomes.filter(({ finding }) => finding.shown).length;
  return page({
    title: 'Batch normalization in the lab',
    lead: `What is said of batch norm, put to the test on small networks and digits: ${shown} of ${outcomes.length} claims are shown here. Each verdict follows from the numbers, by a criterion set before.`,
    body: [describeVerdicts(outcomes), ...outcomes.map(describeExperiment), describeSetting(result)].join('\n'),
  });
}

function describeVerdicts(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map((outcome) => {
    const { name, value } = outcome.finding.numbers[0]!;
    return [outcome.experiment.title, verdictOf(outcome), `${formatNumber(value)} (${name})`];
  });
  return section('Verdicts', table({ caption: 'All experiments', columns: ['Claim', 'Verdict', 'Number'], rows, words: true }));
}

function describeExperiment(outcome: Outcome): string {
  const { experiment, finding } = outcome;
  const verdict = verdictOf(outcome);
  const numbers = table({
    caption: 'Numbers',
    columns: ['What', 'Value'],
    rows: finding.numbers.map(({ name, value }) => [name, formatNumber(value)]),
  });
  return section(
    experiment.title,
    `<div id="${experiment.name}" class="experiment">`,
    `<p class="claim"><strong>What is said.</strong> ${escapeHtml(experiment.claim)} <em>${escapeHtml(experiment.source)}</em></p>`,
    `<p class="verdict"><strong>${verdict[0]!.toUpperCase()}${verdict.slice(1)}.</strong> ${escapeHtml(finding.sentence)}</p>`,
    drawPlots(finding),
    paragraph(`Counts as shown when ${experiment.criterion}.`),
    paragraph(`What was done: ${finding.setting}`),
    finding.numbers.length > MOST_NUMBERS ? details(`All ${finding.numbers.length} numbers`, numbers) : numbers,
    '</div>',
  );
}

function drawPlots({ plots }: Finding): string {
  const size = plots.length > 1 ? PANEL : {};
  const banded = plots.some((plot) => plot.kind === 'lines' && plot.series.some(({ bands = [] }) => bands.length > 0));
  const caption = banded ? 'Lines: the median of the seeds; bands: from the least to the greatest.' : 'The median of the seeds.';
  return figure(
    plots.map((plot) => draw({ ...size, ...plot })),
    caption,
    plots.map(tabulate).join('\n'),
  );
}

function draw(plot: Plot): string {
  return plot.kind === 'lines' ? linePlot(plot) : barPlot(plot);
}

/** What is drawn, in figures. */
function tabulate(plot: Plot): string {
  if (plot.kind === 'bars') {
    const rows = plot.categories.map((category, index) => [
      category,
      ...plot.series.map(({ values }) => formatNumber(values[index] ?? null)),
    ]);
    return table({ caption: `${plot.title}: ${plot.yLabel}`, columns: ['', ...plot.series.map(({ name }) => name)], rows });
  }
  const xs = [...new Set(plot.series.flatMap(({ x }) => x))].sort((a, b) => a - b);
  const rows = xs.map((at) => [
    formatNumber(at),
    ...plot.series.map(({ x, y }) => {
      const index = x.indexOf(at);
      return index < 0 ? '–' : formatNumber(y[index] ?? null);
    }),
  ]);
  return table({ caption: `${plot.title}: ${plot.yLabel}`, columns: [plot.xLabel, ...plot.series.map(({ name }) => name)], rows });
}

function describeSetting({ task, options, device, outcomes, seconds }: LabResult): string {
  const rows = [
    ['Data', task.source],
    ['Pictures to train on / to test on', `${task.train.count} / ${task.test.count}, 8 × 8 values`],
    ['Size', options.quick ? 'quick' : 'full'],
    ['Seed', String(options.seed)],
    ['Batch norm computed on', `${device.name}: ${device.description}`],
    ['The rest of the networks computed by', `Node.js ${process.version}, ${process.platform} ${process.arch}`],
    ['Time', `${seconds.toFixed(1)} s`],
    ...outcomes.map(({ experiment, seconds: spent }) => [`Time of ${experiment.name}`, `${spent.toFixed(1)} s`]),
  ];
  return section('Setting', table({ caption: 'How this was measured', columns: ['What', 'Value'], rows, words: true }));
}
