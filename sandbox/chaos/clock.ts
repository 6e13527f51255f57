/**
 * Loaded before a pod's program: shifts what the program takes for the time of day by what the site's `clock.json` says now,
 * and leaves the monotonic clock alone. A clock that is set while the program runs jumps, as a real one does.
 */
import * as fs from 'node:fs';
import type { ClockOrder } from './clocks';

const lookEveryMs = 100;

function main(): void {
  const file = process.env['STANDBY_CLOCK'];
  if (!file) return;
  const pod = process.env['HOSTNAME'] ?? '';
  const Real = Date;
  const now = Real.now.bind(Real);
  let offsetMs = 0;
  const look = () => {
    try {
      const order = JSON.parse(fs.readFileSync(file, 'utf8')) as ClockOrder;
      offsetMs = new RegExp(order.pods).test(pod) ? order.seconds * 1000 : 0;
    } catch {
      offsetMs = 0; // no order: the clock is right
    }
  };
  look();
  setInterval(look, lookEveryMs).unref();

  class Shifted extends Real {
    constructor(...args: unknown[]) {
      super(...((args.length === 0 ? [now() + offsetMs] : args) as [number]));
    }
    static override now(): number {
      return now() + offsetMs;
    }
  }
  // `Date()` without `new` is a string: a class can't be called, so a function stands before it.
  globalThis.Date = new Proxy(Shifted, { apply: () => new Shifted().toString() }) as unknown as DateConstructor;
}

main();
