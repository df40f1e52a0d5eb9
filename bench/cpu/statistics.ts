/** Times are summed up by order statistics, which a busy machine disturbs least. */

export interface Summary {
  median: number;
  min: number;
  lowerQuartile: number;
  upperQuartile: number;
  samples: number;
}

/** The value below which the given fraction of `values` lies, interpolated linearly. */
export function quantile(values: readonly number[], fraction: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const position = fraction * (sorted.length - 1);
  const below = sorted[Math.floor(position)];
  const above = sorted[Math.ceil(position)];
  if (below === undefined || above === undefined) return Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

export function summarize(values: readonly number[]): Summary {
  return {
    median: median(values),
    min: quantile(values, 0),
    lowerQuartile: quantile(values, 0.25),
    upperQuartile: quantile(values, 0.75),
    samples: values.length,
  };
}

/** Of the summaries of several launches: the median of their medians, of their quartiles, the least of all. */
export function poolSummaries(launches: readonly Summary[]): Summary {
  const middle = (field: keyof Summary) => median(launches.map((launch) => launch[field]));
  return {
    median: middle('median'),
    min: Math.min(...launches.map(({ min }) => min)),
    lowerQuartile: middle('lowerQuartile'),
    upperQuartile: middle('upperQuartile'),
    samples: launches.reduce((sum, { samples }) => sum + samples, 0),
  };
}
