/** Starts a failover without a person, once, and only on proof. */
import { whoAmI } from '../adapters/lock/lock';
import { switchRules, type World } from '../adapters/wire';
import { plan } from '../failover/planner';
import { execute } from '../failover/runner';
import type { Told } from '../adapters/watch/watcher';
import type { Alarm } from '../failover/watch';
import { mayStart } from '../failover/watchDecision';

/** Looking at everything is not free; a lease that runs out is seen in time all the same. */
const againMs = 2_000;

export interface AutomaticOptions {
  readonly maxLossSeconds: number;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

export class Automatic {
  private alarm: Alarm | undefined;
  private triedAt = 0;
  private told = '';
  /** A run that failed is a person's: nothing is tried after it. */
  private spent = false;

  constructor(
    private readonly world: World,
    private readonly options: AutomaticOptions,
  ) {}

  /** Called after each round; acts while an alarm stands that a failover could mend. */
  async consider({ events, sight }: Told): Promise<void> {
    for (const event of events) {
      if (event.type === 'alarm' || event.type === 'scope') this.alarm = event.alarm;
      if (event.type === 'over') this.alarm = undefined;
    }
    if (this.spent || this.alarm?.sight !== 'lost' || sight !== 'lost') return;
    if (Date.now() - this.triedAt < againMs) return;
    try {
      await this.attempt(this.alarm);
    } catch (cause) {
      this.sayOnce(`does not start: ${(cause as Error).message}`);
    }
    this.triedAt = Date.now();
  }

  private async attempt(alarm: Alarm): Promise<void> {
    const { ports } = this.world;
    const { signal, maxLossSeconds } = this.options;
    const seen = await ports.observer.observe(signal);
    const make = (wish: Parameters<typeof plan>[1]) => plan(seen, wish, seen.at, switchRules);
    const decision = mayStart(alarm, seen, make, maxLossSeconds);
    if (!decision.start) return this.sayOnce(`does not start: ${decision.why}`);
    this.spent = true;
    this.options.say(`starts by itself: failover to ${decision.plan.to} by branch ${decision.plan.branch}`);
    const result = await execute(decision.plan, ports, { who: `${whoAmI()}, watching`, seen, signal });
    if (result.outcome === 'done') return this.options.say(`done in ${result.seconds.toFixed(1)} s`);
    const why = result.outcome === 'failed' ? `${result.step}: ${result.message}` : result.outcome;
    this.options.say(`ended without success, and is not tried again: ${why}; look at: standby status`);
  }

  /** Ages change from one attempt to the next; a reason is told once. */
  private sayOnce(line: string): void {
    const reason = line.replaceAll(/\d+/g, '');
    if (reason !== this.told) this.options.say(line);
    this.told = reason;
  }
}
