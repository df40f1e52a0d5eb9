import { expect } from 'chai';
import {
  barPlot,
  escapeHtml,
  figure,
  formatNumber,
  heatMap,
  linePlot,
  page,
  scatterPlot,
  section,
  standaloneSvg,
  table,
} from '../../lib/report';
import { linearTicks, logTicks } from '../../lib/report/scale';

const LINE = {
  title: 'Loss & <b>',
  description: 'What is "seen"',
  xLabel: 'step',
  yLabel: 'loss',
  series: [
    { name: 'one', x: [0, 1, 2, 3], y: [1, Number.NaN, 3, 4] },
    { name: 'two', x: [0, 3], y: [2, 2], bands: [{ low: [1, 1], high: [3, 3] }], dashed: true },
  ],
};

const count = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0;

describe('report', () => {
  it('draws lines, bands, legend and axes, and says in words what is seen', () => {
    const svg = linePlot(LINE);
    expect(svg).to.contain('<title>Loss &amp; &lt;b&gt;</title><desc>What is &quot;seen&quot;</desc>');
    expect(count(svg, /class="band"/g)).to.equal(1);
    for (const text of ['>one<', '>two<', '>step<', '>loss<']) expect(svg).to.contain(text);
    expect(svg).to.not.contain('NaN');
  });

  it('breaks a line where there is no value', () => {
    // Two pieces of series one, the line of series two, and the two swatches of the legend.
    expect(count(linePlot(LINE), /class="line/g)).to.equal(5);
  });

  it('leaves out what a logarithm does not have', () => {
    const svg = linePlot({ ...LINE, yScale: 'log', series: [{ name: 'one', x: [0, 1, 2], y: [0, -1, 10] }] });
    expect(svg).to.not.match(/NaN|Infinity/);
  });

  it('labels the values that it is told to', () => {
    const svg = linePlot({ ...LINE, xScale: 'log', xTicks: [2, 3], series: [{ name: 'one', x: [1, 2, 3], y: [1, 2, 3] }] });
    expect(svg).to.contain('text-anchor="middle">2</text>').and.contain('text-anchor="middle">3</text>');
    expect(svg).to.not.contain('text-anchor="middle">1</text>');
  });

  it('draws an empty plot without complaint', () => {
    expect(linePlot({ ...LINE, series: [] })).to.not.match(/NaN|Infinity/);
    expect(linePlot({ ...LINE, series: [{ name: 'nothing', x: [0], y: [null] }] })).to.not.match(/NaN|Infinity/);
  });

  it('draws a bar for each value, from zero, with the number as a hint', () => {
    const svg = barPlot({
      title: 'Bars',
      description: 'Bars',
      yLabel: 'ratio',
      categories: ['a', 'b'],
      series: [
        { name: 'ours', values: [1, 2] },
        { name: 'theirs', values: [null, 3] },
      ],
      reference: { value: 1, label: 'copy' },
    });
    expect(count(svg, /<rect/g)).to.equal(3);
    expect(svg).to.contain('<title>b, theirs: 3</title>').and.contain('>copy<');
    const [, one, two] = /height="([\d.]+)"><title>a, ours.*?height="([\d.]+)"><title>b, ours/.exec(svg)!;
    expect(Number(two) / Number(one)).to.be.closeTo(2, 0.01);
  });

  it('draws dots, on one scale with the line of equality where that is asked for, and leaves out what cannot be drawn', () => {
    const series = [
      { name: 'one', x: [0, 10, Number.NaN, 5], y: [1, 9, 3, Infinity] },
      { name: 'none', x: [], y: [] },
    ];
    const svg = scatterPlot({ title: 'Dots', description: 'Dots', xLabel: 'theirs', yLabel: 'ours', diagonal: true, series });
    expect(svg).to.not.match(/NaN|Infinity/);
    expect(count(svg, /class="dots"/g)).to.equal(2 + 1); // the legend's, and one path of two dots
    const [left, low, right, high] = /d="M([\d.]+) ([\d.]+)h.1M([\d.]+) ([\d.]+)h.1"/.exec(svg)!.slice(1).map(Number) as [
      number,
      number,
      number,
      number,
    ];
    const [x0, y0, x1, y1] = /class="reference" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"/.exec(svg)!.slice(1).map(Number) as [
      number,
      number,
      number,
      number,
    ];
    expect([left, right]).to.deep.equal([x0, x1]); // 0 and 10 are the ends of the line
    expect((y0 - low) / (y0 - y1)).to.be.closeTo(0.1, 0.01);
    expect((y0 - high) / (y0 - y1)).to.be.closeTo(0.9, 0.01);
    const log = scatterPlot({ title: 'Dots', description: 'Dots', xLabel: 'x', yLabel: 'y', xScale: 'log', yScale: 'log', series });
    expect(log)
      .to.match(/d="M[\d.]+ [\d.]+h.1"/)
      .and.to.not.match(/NaN|Infinity/); // 0 has no logarithm
  });

  it('draws lines among the dots, on the same scale', () => {
    const series = [{ name: 'dots', x: [0, 10], y: [0, 5] }];
    const lines = [{ name: 'line', color: 5, x: [0, 10], y: [0, 10] }];
    const svg = scatterPlot({ title: 'Both', description: 'Both', xLabel: 'x', yLabel: 'y', series, lines });
    const numbers = (pattern: RegExp) => pattern.exec(svg)!.slice(1).map(Number) as [number, number, number, number];
    const [x0, y0, x1, y1] = numbers(/class="line" stroke="var\(--c5\)" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"/);
    const [left, low, right, high] = numbers(/d="M([\d.]+) ([\d.]+)h.1M([\d.]+) ([\d.]+)h.1"/);
    expect([left, low, right]).to.deep.equal([x0, y0, x1]);
    expect((y0 - high) / (y0 - y1)).to.be.closeTo(0.5, 0.01);
    expect(svg).to.contain('>dots<').and.contain('>line<');
  });

  it('draws a heat map as a table of numbers, each with the colour of its level', () => {
    const rows = [
      { name: 'a <b>', values: [0, 0.5, null] },
      { name: 'c', values: [0.6, 1, 1.5] },
    ];
    const html = heatMap({ caption: 'Heat & more', columns: ['x', 'y', 'z'], rows, limits: [0.5, 1], format: (value) => value.toFixed(1) });
    expect(html).to.contain('<th scope="row">a &lt;b&gt;</th><td class="heat0">0.0</td><td class="heat0">0.5</td><td>–</td>');
    expect(html).to.contain('<td class="heat1">0.6</td><td class="heat1">1.0</td><td class="beyond">1.5</td>');
    expect(html).to.contain('<caption>Heat &amp; more</caption>').and.contain('<span class="beyond">&gt; 1.0</span>');
  });

  it('gives a plot of its own file its colours, light and dark', () => {
    expect(linePlot(LINE)).to.not.contain('<style>');
    expect(standaloneSvg(linePlot(LINE))).to.match(/^<svg[^>]*xmlns=[^>]*><style>.*prefers-color-scheme:dark.*<\/style><title>/);
  });

  it('chooses round ticks inside of the range', () => {
    expect(linearTicks(0, 1)).to.deep.equal([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(linearTicks(-7, 13)).to.deep.equal([-5, 0, 5, 10]);
    expect(logTicks(0.01, 100)).to.deep.equal([0.01, 0.1, 1, 10, 100]);
    expect(logTicks(1, 10)).to.deep.equal([1, 2, 5, 10]);
  });

  it('spells numbers shortly', () => {
    expect([0, 1234.5, 0.12345, -0.00001, 1e7, null, Number.NaN, Infinity].map(formatNumber)).to.deep.equal([
      '0',
      '1230',
      '0.123',
      '−1.0e−5',
      '1.0e7',
      'n/a',
      'n/a',
      '∞',
    ]);
  });

  it('makes a page that needs nothing else', () => {
    const numbers = table({ caption: 'Numbers', columns: ['name', 'value'], rows: [['<a>', '1']] });
    const html = page({ title: 'A & B', lead: 'Lead', body: section('Part', figure([linePlot(LINE)], 'Caption', numbers)) });
    expect(html).to.match(/^<!doctype html>\n<html lang="en">/);
    expect(html).to.contain('<title>A &amp; B</title>').and.contain('<th scope="row">&lt;a&gt;</th>');
    expect(html.replaceAll('xmlns="http://www.w3.org/2000/svg"', '')).to.not.match(/https?:|src=|@import|url\(/);
    expect(escapeHtml(`<&>"'`)).to.equal('&lt;&amp;&gt;&quot;&#39;');
  });
});
