export { escapeHtml } from './escape';
export { figure, page, paragraph, section, table } from './html';
export { type BarPlotOptions, type BarSeries, barPlot, type LinePlotOptions, type LineSeries, linePlot, standaloneSvg } from './plot';
export { formatNumber } from './scale';
