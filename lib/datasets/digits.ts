/** Small grey pictures of digits, drawn stroke by stroke: shifted, turned, scaled, slanted, smudged and noised, all from one seed. */

import type { Random } from '../random';
import type { Dataset } from './dataset';

type Point = readonly [x: number, y: number];

/** Pixels along a side where nobody asks for another number. */
const SIDE = 12;
const CLASSES = 10;

/** Points on an ellipse; degrees run clockwise from the right, for y points down. */
function arc(x: number, y: number, radiusX: number, radiusY: number, from: number, to: number): Point[] {
  const steps = Math.ceil(Math.abs(to - from) / 30);
  return Array.from({ length: steps + 1 }, (_, index) => {
    const angle = ((from + ((to - from) * index) / steps) * Math.PI) / 180;
    return [x + radiusX * Math.cos(angle), y + radiusY * Math.sin(angle)] as const;
  });
}

/** Each digit's strokes in a unit square. */
const STROKES: readonly (readonly (readonly Point[])[])[] = [
  [arc(0.5, 0.5, 0.24, 0.36, 0, 360)],
  [
    [
      [0.36, 0.28],
      [0.54, 0.14],
      [0.54, 0.86],
    ],
  ],
  [[...arc(0.49, 0.34, 0.22, 0.2, 190, 390), [0.28, 0.86], [0.75, 0.86]]],
  [[...arc(0.46, 0.32, 0.22, 0.18, 200, 450), ...arc(0.46, 0.67, 0.25, 0.19, 270, 510)]],
  [
    [
      [0.6, 0.88],
      [0.6, 0.12],
      [0.22, 0.62],
      [0.8, 0.62],
    ],
  ],
  [[[0.72, 0.14], [0.34, 0.14], [0.31, 0.46], ...arc(0.47, 0.64, 0.24, 0.22, 235, 500)]],
  [[[0.64, 0.12], [0.42, 0.32], ...arc(0.5, 0.66, 0.22, 0.2, 190, 550)]],
  [
    [
      [0.24, 0.14],
      [0.75, 0.14],
      [0.42, 0.88],
    ],
  ],
  [arc(0.5, 0.31, 0.19, 0.17, 90, 450), arc(0.5, 0.67, 0.23, 0.19, 270, 630)],
  [[...arc(0.5, 0.33, 0.21, 0.19, 20, 380), [0.66, 0.6], [0.5, 0.88]]],
];

/** A random hand: where a point of the unit square comes to lie. */
function makeHand(random: Random): (point: Point) => Point {
  const angle = random.uniform(-0.25, 0.25);
  const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
  const [scaleX, scaleY] = [random.uniform(0.7, 1.1), random.uniform(0.8, 1.1)];
  const slant = random.uniform(-0.25, 0.25);
  const [shiftX, shiftY] = [random.uniform(-0.1, 0.1), random.uniform(-0.08, 0.08)];
  return ([x, y]) => {
    const v = (y - 0.5) * scaleY + random.uniform(-0.025, 0.025);
    const u = (x - 0.5) * scaleX + slant * v + random.uniform(-0.025, 0.025);
    return [0.5 + shiftX + u * cosine - v * sine, 0.5 + shiftY + u * sine + v * cosine];
  };
}

function distanceToSegment(x: number, y: number, [ax, ay]: Point, [bx, by]: Point): number {
  const [dx, dy] = [bx - ax, by - ay];
  const along = ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1);
  const nearest = Math.min(1, Math.max(0, along));
  return Math.hypot(x - ax - nearest * dx, y - ay - nearest * dy);
}

function draw(digit: number, random: Random, pixels: Float32Array, side: number): void {
  const hand = makeHand(random);
  const strokes = STROKES[digit]!.map((stroke) => stroke.map(hand));
  const halfWidth = random.uniform(0.03, 0.07);
  const ink = random.uniform(0.6, 1);
  const noise = random.uniform(0.02, 0.15);
  for (let index = 0; index < pixels.length; index++) {
    const x = ((index % side) + 0.5) / side;
    const y = (Math.floor(index / side) + 0.5) / side;
    let distance = Infinity;
    for (const stroke of strokes) {
      for (let i = 1; i < stroke.length; i++) distance = Math.min(distance, distanceToSegment(x, y, stroke[i - 1]!, stroke[i]!));
    }
    const covered = Math.min(1, Math.max(0, 0.5 + (halfWidth - distance) * side)); // an edge one pixel soft
    pixels[index] = Math.min(1, Math.max(0, ink * covered + noise * random.normal()));
  }
}

/** `count` pictures of `side` × `side` values from 0 to 1, the ten digits in turn. */
export function renderDigits(count: number, random: Random, side = SIDE): Dataset {
  const width = side * side;
  const features = new Float32Array(count * width);
  const labels = Uint8Array.from({ length: count }, (_, index) => index % CLASSES);
  labels.forEach((digit, index) => {
    draw(digit, random, features.subarray(index * width, (index + 1) * width), side);
  });
  return { features, labels, count, width };
}
