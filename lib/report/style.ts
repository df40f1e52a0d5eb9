/** The colours of plots and pages, light and dark, and what both share of the style sheet. Two hues in the same slot mean the same thing. */

const LIGHT = {
  surface: '#ffffff',
  raised: '#f5f6f8',
  ink: '#1b1f27',
  muted: '#5a6270',
  grid: '#e1e4ea',
  series: ['#0b66c3', '#c8501e', '#0b7f5f', '#8a3f9c', '#946a00', '#5a6270'],
};

const DARK = {
  surface: '#14171c',
  raised: '#1d2127',
  ink: '#e9ecf1',
  muted: '#a2abb8',
  grid: '#30363f',
  series: ['#63b3ff', '#ff9a62', '#3fd0a4', '#d79be6', '#e6bd4a', '#a2abb8'],
};

export const SERIES_COLORS = LIGHT.series.length;

function variables(theme: typeof LIGHT): string {
  const series = theme.series.map((color, slot) => `--c${slot}:${color}`).join(';');
  return `--surface:${theme.surface};--raised:${theme.raised};--ink:${theme.ink};--muted:${theme.muted};--grid:${theme.grid};${series}`;
}

/** Sets the custom properties on `selector`, following the reader's light or dark preference. */
export function themeCss(selector: string): string {
  return `${selector}{${variables(LIGHT)}}@media (prefers-color-scheme:dark){${selector}{${variables(DARK)}}}`;
}

/** What the elements of a plot look like; needs the properties of themeCss(). */
export const PLOT_CSS = [
  '.plot{font-family:system-ui,sans-serif;font-size:12px}',
  '.plot text{fill:var(--muted)}',
  '.plot .title{fill:var(--ink);font-size:14px;font-weight:600}',
  '.plot .legend{fill:var(--ink)}',
  '.plot .inside{fill:var(--surface);font-weight:600}',
  '.plot .grid{stroke:var(--grid);stroke-width:1}',
  '.plot .axis{stroke:var(--muted);stroke-width:1}',
  '.plot .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}',
  '.plot .dashed{stroke-dasharray:6 4}',
  '.plot .dots{fill:none;stroke-width:5;stroke-linecap:round;stroke-opacity:.6}',
  '.plot .band{stroke:none;fill-opacity:.18}',
  '.plot .reference{stroke:var(--ink);stroke-width:1;stroke-dasharray:2 3}',
].join('');
