/** The seconds a run may take: what is asked for when they are over is left out. */

export class Budget {
  private readonly start: number;

  constructor(
    private readonly seconds: number,
    private readonly now: () => number = () => performance.now() / 1e3,
  ) {
    this.start = now();
  }

  /** In seconds; 0 when they are over. */
  left(): number {
    return Math.max(0, this.seconds - this.spent());
  }

  spent(): number {
    return this.now() - this.start;
  }
}
