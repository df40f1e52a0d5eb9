/** Ends a run whose GPU does not come back: what was measured until then is kept, and who it was is known. */

export type Watch = <T>(contender: string, where: string, work: () => Promise<T>) => Promise<T>;

/** What is measured without a watchdog: an emulated GPU takes as long as it takes. */
export const unwatched: Watch = (_contender, _where, work) => work();

export const watched =
  (seconds: number, onHang: (contender: string, reason: string, where: string) => void): Watch =>
  async (contender, where, work) => {
    const timer = setTimeout(() => onHang(contender, `nothing came back within ${seconds} s`, where), seconds * 1e3);
    try {
      return await work();
    } finally {
      clearTimeout(timer);
    }
  };
