/** The demo's page: four trainings side by side, as plots and as numbers. */

import * as tf from '@tensorflow/tfjs';
import { barPlot, figure, formatNumber, type LineSeries, linePlot, page, paragraph, section, table } from '../../report';
import type { DemoResult } from '../demo';
import type { Distribution, Run } from './training';

const WITH = 0; // slots of the palette
const WITHOUT = 1;

/** Of a plot that stands beside another. */
const PANEL = { width: 520, height: 320 };

const percent = (share: number) => `${(100 * share).toFixed(1)}%`;
const colorOf = (run: Run) => (run.batchNorm ? WITH : WITHOUT);
const learningRates = (runs: readonly Run[]) => [...new Set(runs.map((run) => run.learningRate))];
const withRate = (runs: readonly Run[], rate: number) => runs.filter((run) => run.learningRate === rate);

export function makeReport(result: DemoResult): string {
  const { runs } = result;
  return page({
    title: 'Training with and without batch normalization',
    lead: 'One network, two learning rates, each with and without batch norm: what was measured on this machine.',
    body: [describeOutcome(result), describeCurves(runs), describeDrift(runs), describeCheckpoint(result), describeSetting(result)].join(
      '\n',
    ),
  });
}

function describeOutcome({ runs }: DemoResult): string {
  const rates = learningRates(runs);
  const final = (run: Run) => run.epochs.at(-1)!.accuracy;
  const series = [false, true].map((batchNorm) => ({
    name: batchNorm ? 'with batch norm' : 'without batch norm',
    color: batchNorm ? WITH : WITHOUT,
    values: rates.map((rate) => 100 * final(runs.find((run) => run.batchNorm === batchNorm && run.learningRate === rate)!)),
  }));
  const categories = rates.map((rate) => `learning rate ${rate}`);
  const description = series
    .map(({ name, values }) => `${name}: ${values.map((value, i) => `${value.toFixed(1)}% at ${categories[i]}`).join(', ')}`)
    .join('; ');
  const plot = barPlot({
    title: 'Final test accuracy',
    description,
    yLabel: 'accuracy, %',
    yRange: [0, 100],
    categories,
    series,
    height: 300,
  });
  const numbers = table({
    caption: 'Outcome of the four trainings',
    columns: ['Training', 'Final accuracy', 'After one epoch', 'Final loss', 'Samples per second'],
    rows: runs.map((run) => [
      run.name,
      percent(final(run)),
      percent(run.epochs[0]!.accuracy),
      formatNumber(run.epochs.at(-1)!.loss),
      String(Math.round(run.samplesPerSecond)),
    ]),
  });
  return section('Outcome', numbers, figure([plot], 'Share of the test rows put into the right class after the last epoch.'));
}

function describeCurves(runs: readonly Run[]): string {
  const name = (run: Run) => `${run.batchNorm ? 'with' : 'without'} batch norm, rate ${run.learningRate}`;
  const style = (run: Run) => ({ name: name(run), color: colorOf(run), dashed: run.learningRate !== runs[0]!.learningRate });
  const loss = linePlot({
    title: 'Loss while training',
    description:
      'Cross-entropy of the training batches over the steps, smoothed, one line per training. A line that ends early stands for a loss that is no number any more.',
    xLabel: 'step',
    yLabel: 'cross-entropy (log)',
    yScale: 'log',
    series: runs.map((run) => ({ ...style(run), ...smooth(run.losses) })),
    ...PANEL,
  });
  const accuracy = linePlot({
    title: 'Test accuracy',
    description: 'Accuracy on the test rows after each epoch, one line per training.',
    xLabel: 'epoch',
    wholeX: true,
    yLabel: 'accuracy, %',
    yRange: [0, 100],
    series: runs.map((run) => ({
      ...style(run),
      x: run.epochs.map((_, index) => index + 1),
      y: run.epochs.map((epoch) => 100 * epoch.accuracy),
    })),
    ...PANEL,
  });
  const numbers = table({
    caption: 'Mean training loss / test accuracy by epoch',
    columns: ['Epoch', ...runs.map(({ name }) => name)],
    rows: runs[0]!.epochs.map((_, index) => [
      String(index + 1),
      ...runs.map(({ epochs }) => `${formatNumber(epochs[index]!.loss)} / ${percent(epochs[index]!.accuracy)}`),
    ]),
  });
  const caption = 'Solid lines: the moderate learning rate; dashed lines: the high one.';
  return section('Learning curves', figure([loss, accuracy], caption, numbers));
}

/** Means over windows of a fortieth of the whole. */
function smooth(losses: readonly number[]): { x: number[]; y: number[] } {
  const window = Math.max(1, Math.round(losses.length / 40));
  const starts = Array.from({ length: Math.floor(losses.length / window) }, (_, index) => index * window);
  const mean = (start: number) => losses.slice(start, start + window).reduce((sum, loss) => sum + loss, 0) / window;
  return { x: starts.map((start) => start + (window + 1) / 2), y: starts.map(mean) };
}

function describeDrift(runs: readonly Run[]): string {
  const text =
    'Each layer learns on what the layers before it hand over, while these change with every step. Here is what the activation of each hidden layer was given in training: its median (line), its middle half (darker band) and the range from the 5th to the 95th percentile (lighter band) over a batch and all units.';
  const figures = learningRates(runs).map((rate) => {
    const compared = withRate(runs, rate);
    const plots = compared[0]!.drift.map((_, layer) => plotDrift(compared, layer, rate));
    return figure(plots, `Inputs of the activations at learning rate ${rate}. Each panel has a scale of its own.`, tabulateDrift(compared));
  });
  return section("How the layers' inputs drift", paragraph(text), ...figures);
}

function plotDrift(runs: readonly Run[], layer: number, rate: number): string {
  return linePlot({
    title: `Hidden layer ${layer + 1}, learning rate ${rate}`,
    description: runs.map((run) => `${run.name}: ${describeChange(run.drift[layer]!)}`).join('. '),
    xLabel: 'step',
    yLabel: 'input of the activation',
    series: runs.map((run) => driftSeries(run, run.drift[layer]!)),
    ...PANEL,
  });
}

function driftSeries(run: Run, observations: readonly Distribution[]): LineSeries {
  const quantile = (index: number) => observations.map(({ quantiles }) => quantiles[index]!);
  return {
    name: run.batchNorm ? 'with batch norm' : 'without batch norm',
    color: colorOf(run),
    x: observations.map(({ step }) => step),
    y: quantile(2),
    bands: [
      { low: quantile(0), high: quantile(4) },
      { low: quantile(1), high: quantile(3) },
    ],
  };
}

function describeChange(observations: readonly Distribution[]): string {
  const say = ({ mean, deviation }: Distribution) => `mean ${formatNumber(mean)}, deviation ${formatNumber(deviation)}`;
  return `${say(observations[0]!)} at first, ${say(observations.at(-1)!)} at last`;
}

function tabulateDrift(runs: readonly Run[]): string {
  const moments = ({ mean, deviation }: Distribution) => `${formatNumber(mean)} ± ${formatNumber(deviation)}`;
  const rows = runs.flatMap((run) =>
    run.drift.map((layer, index) => {
      const at = [0, 0.1, 0.5, 1].map((share) => layer[Math.round(share * (layer.length - 1))]!);
      return [`layer ${index + 1}, ${run.batchNorm ? 'with' : 'without'} batch norm`, ...at.map(moments)];
    }),
  );
  return table({ caption: 'Mean ± standard deviation', columns: ['Inputs of', 'first step', 'after a tenth', 'halfway', 'end'], rows });
}

function describeCheckpoint({ checkpoint }: DemoResult): string {
  const outcome = checkpoint.identical
    ? 'every logit of every test row was the same, bit for bit'
    : `the logits of the test rows differed by at most ${checkpoint.greatestDifference.toExponential(1)}`;
  return section(
    'Saved and loaded again',
    paragraph(
      `The best network was saved with its running statistics and loaded into a fresh one: ${outcome}. Its accuracy after loading: ${percent(checkpoint.accuracy)}.`,
    ),
  );
}

function describeSetting({ task, options, device, backend, seconds }: DemoResult): string {
  const rows = [
    ['Data', task.source],
    ['Rows to train on / to test on', `${task.train.count} / ${task.test.count}`],
    ['Values a row / classes', `${task.train.width} / ${task.classes}`],
    ['Epochs, batch size, seed', `${options.epochs}, ${options.batchSize}, ${options.seed}`],
    ['Optimizer', 'stochastic gradient descent'],
    ['Batch norm computed on', `${device.name}: ${device.description}`],
    ['Other layers computed by', `TensorFlow.js ${tf.version.tfjs}, ${backend} backend`],
    ['Node.js', `${process.version}, ${process.platform} ${process.arch}`],
    ['Time of the whole demo', `${seconds.toFixed(1)} s`],
  ];
  return section('Setting', table({ caption: 'How this was measured', columns: ['What', 'Value'], rows }));
}
