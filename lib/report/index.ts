export { escapeHtml } from './escape';
export { type HeatMapOptions, heatMap } from './heat_map';
export { details, figure, page, paragraph, section, table } from './html';
export { type BarPlotOptions, type BarSeries, barPlot, type LinePlotOptions, type LineSeries, linePlot, standaloneSvg } from './plot';
export { formatNumber } from './scale';
export { type ScatterPlotOptions, type ScatterSeries, scatterPlot } from './scatter';
