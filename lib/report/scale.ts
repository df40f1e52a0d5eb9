/** Maps data onto a length in pixels, and chooses the values worth a label. */

export interface Scale {
  (value: number): number;
  readonly ticks: readonly number[];
}

export type ScaleKind = 'linear' | 'log';

/** Smallest and largest finite value (positive ones only for 'log'); [0, 1] where there is none. */
export function extent(values: Iterable<number | null>, kind: ScaleKind): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value === null || !Number.isFinite(value) || (kind === 'log' && value <= 0)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return kind === 'log' ? [1, 10] : [0, 1];
  if (low === high) return kind === 'log' ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
  return [low, high];
}

/** About `count` multiples of 1, 2 or 5 times a power of ten within [low, high]. */
export function linearTicks(low: number, high: number, count = 5): number[] {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough * 0.999) ?? 10 * power;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

/** Powers of ten within [low, high]; values between them too where the range is short. */
export function logTicks(low: number, high: number): number[] {
  const factors = high / low < 20 ? [1, 2, 5] : high / low < 1000 ? [1, 3] : [1];
  const ticks: number[] = [];
  for (let exponent = Math.floor(Math.log10(low)); exponent <= Math.ceil(Math.log10(high)); exponent++) {
    for (const factor of factors) {
      const tick = Number((factor * 10 ** exponent).toPrecision(12));
      if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
    }
  }
  const every = Math.ceil(ticks.length / 7);
  return ticks.filter((_, index) => index % every === 0);
}

/** A scale from [low, high] to [from, to] pixels, with round ticks or the given ones. */
export function makeScale(
  kind: ScaleKind,
  [low, high]: readonly [number, number],
  from: number,
  to: number,
  ticks: readonly number[] = kind === 'log' ? logTicks(low, high) : linearTicks(low, high),
): Scale {
  const transform = kind === 'log' ? Math.log10 : (value: number) => value;
  const start = transform(low);
  const span = transform(high) - start;
  const scale = (value: number) => from + ((transform(value) - start) / span) * (to - from);
  return Object.assign(scale, { ticks });
}

/** A short spelling of a number for labels and tables. */
export function formatNumber(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return value === null || Number.isNaN(value) ? 'n/a' : value > 0 ? '∞' : '−∞';
  const magnitude = Math.abs(value);
  const text = magnitude !== 0 && (magnitude < 1e-3 || magnitude >= 1e6) ? value.toExponential(1) : String(Number(value.toPrecision(3)));
  return text.replace('-', '−').replace(/e\+?/, 'e').replace('e-', 'e−');
}
