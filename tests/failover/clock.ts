/** Time that passes only when nobody has anything to do before it does. */
import type { Clock } from '../../failover/ports';

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

export class VirtualClock implements Clock {
  private sleepers: Sleeper[] = [];
  private pumping = false;

  constructor(
    private time: number,
    /** Told each time that it passes. */
    private readonly passed: () => void,
  ) {}

  now(): number {
    return this.time;
  }

  advance(ms: number): void {
    this.time += ms;
    this.passed();
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const sleeper = {
        at: this.time + ms,
        wake: () => {
          signal.removeEventListener('abort', stop);
          resolve();
        },
      };
      const stop = () => {
        this.sleepers = this.sleepers.filter((one) => one !== sleeper);
        reject(signal.reason as Error);
      };
      if (signal.aborted) return stop();
      signal.addEventListener('abort', stop, { once: true });
      this.sleepers.push(sleeper);
      this.pump();
    });
  }

  /** Everything that can go on has gone on when an immediate comes: what is left waits for time to pass. */
  private pump(): void {
    if (this.pumping) return;
    this.pumping = true;
    setImmediate(() => {
      this.pumping = false;
      const [next] = this.sleepers.sort((one, other) => one.at - other.at);
      if (!next) return;
      this.sleepers = this.sleepers.slice(1);
      this.time = Math.max(this.time, next.at);
      this.passed();
      next.wake();
      this.pump();
    });
  }
}
