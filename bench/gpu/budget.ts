/** The seconds a run may take: what is asked for when they are over is left out. */

export class Budget {
  private readonly end: number;

  constructor(
    seconds: number,
    private readonly now: () => number = () => performance.now() / 1e3,
  ) {
    this.end = now() + seconds;
  }

  /** In seconds; 0 when they are over. */
  left(): number {
    return Math.max(0, this.end - this.now());
  }
}
