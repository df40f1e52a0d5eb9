/** Repeatable random numbers for test data. */

/** mulberry32: 32 bits of state, uniform in [0, 1). */
export function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Normal deviates by Box and Muller. */
export function normal(seed: number): (mean?: number, deviation?: number) => number {
  const next = uniform(seed);
  return (mean = 0, deviation = 1) => mean + deviation * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
}

export function normals(count: number, seed: number, mean = 0, deviation = 1): Float64Array {
  const next = normal(seed);
  const values = new Float64Array(count);
  for (let i = 0; i < count; i++) values[i] = next(mean, deviation);
  return values;
}
