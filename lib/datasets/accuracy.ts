/** How often a classifier is right. */

/** Share of rows whose greatest logit is that of their class. `logits` are `[rows, classes]`. */
export function accuracy(logits: Float32Array | Float64Array, labels: Uint8Array): number {
  const classes = logits.length / labels.length;
  let right = 0;
  labels.forEach((label, row) => {
    const scores: ArrayLike<number> = logits.subarray(row * classes, (row + 1) * classes);
    // Not-a-number is greater than nothing, so a network that diverged is right about nothing.
    if (Array.from(scores).every((score, other) => other === label || scores[label]! > score)) right++;
  });
  return right / labels.length;
}
