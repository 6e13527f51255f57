/** Says what runs and how long it took, and keeps the figures. */
export interface StepTime {
  readonly id: string;
  readonly seconds: number;
}

export class Timeline {
  readonly steps: StepTime[] = [];
  private readonly began = Date.now();

  constructor(private readonly report: (line: string) => void) {}

  /** Runs one step; a fault ends the exercise at this step. A step of over two seconds says that it goes on. */
  async step<T>(id: string, what: string, act: () => Promise<T>): Promise<T> {
    const began = Date.now();
    const still = setInterval(
      () => this.report(`         … ${what}: ${((Date.now() - began) / 1000).toFixed(0)} s`),
      10_000,
    );
    this.report(`${this.clock(began)}  ${what} …`);
    try {
      return await act();
    } finally {
      clearInterval(still);
      const seconds = (Date.now() - began) / 1000;
      this.steps.push({ id, seconds: Math.round(seconds * 1000) / 1000 });
      this.report(`${this.clock(Date.now())}  ${what}: ${seconds.toFixed(1)} s`);
    }
  }

  get seconds(): number {
    return Math.round(Date.now() - this.began) / 1000;
  }

  private clock(at: number): string {
    return `${((at - this.began) / 1000).toFixed(1).padStart(6)} s`;
  }
}

/** Asks until the answer is yes. @throws Error naming what was awaited when the time is over. */
export async function until(
  what: string,
  timeoutSeconds: number,
  ask: () => boolean | Promise<boolean>,
): Promise<void> {
  const end = Date.now() + timeoutSeconds * 1000;
  while (!(await ask())) {
    if (Date.now() > end) throw new Error(`${what}: not within ${timeoutSeconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
