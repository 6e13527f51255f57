/** `standby watch`: looks at both sites from outside, wakes somebody, and acts by itself only where that is proved to be safe. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { removeExpiredRestores } from '../adapters/backup/recovery/azure';
import { cleanExpired } from '../adapters/drill/drills';
import { sendAlert } from '../adapters/watch/alert';
import { readWatched, type Watched } from '../adapters/watch/places';
import { watchRounds, type Told } from '../adapters/watch/watcher';
import { openWorld, type World } from '../adapters/wire';
import { exitCodes } from '../failover/errors';
import { known, type AgentReading, type Reading } from '../failover/model';
import type { Blind, Sight, WatchEvent } from '../failover/watch';
import { headline, suggestion } from '../failover/watchDecision';
import { Automatic } from './automatic';
import { interruptible } from './interrupt';
import { print, printJson } from './output';
import { progressTo } from './render/progress';
import { within } from '../failover/within';

export interface WatchOptions {
  readonly interval: number;
  readonly once?: true;
  readonly automatic?: true;
  readonly maxLoss: number;
  readonly json?: true;
}

const examples = `
Examples:
  standby watch                              one line when something happens, with the command to run
  standby watch --once                       one look; ends with 0 when the active site serves, with 6 when not, or when that is unclear
  standby watch --json | tee watch.jsonl     typed events, one a line
  standby watch --automatic                  starts the failover by itself, where it is proved that nobody else can write

STANDBY_ALERT_URL: every alarm is posted there as {"text": …, "event": …}.
Drills whose time is over, and what killed restores have left, are removed on the side.`;

export function addWatchCommand(program: Command): void {
  program
    .command('watch')
    .description('look at both sites from outside every second, and wake somebody when the active one is lost')
    .addOption(
      new Option('--interval <duration>', 'between two rounds: 1s to 60s')
        .argParser(parseInterval)
        .default(1_000, '1s'),
    )
    .option('--once', 'one round, then end')
    .option('--automatic', 'start the failover by itself, only where fencing is proved')
    .option('--max-loss <seconds>', 'with --automatic: writes that may be lost', parseSeconds, 0)
    .option('--json', 'typed events, one a line')
    .addHelpText('after', examples)
    .action(watch);
}

function parseInterval(text: string): number {
  const seconds = Number(/^(\d{1,2})s$/.exec(text)?.[1]);
  if (seconds >= 1 && seconds <= 60) return seconds * 1_000;
  throw new InvalidArgumentError('allowed is 1s to 60s.');
}

function parseSeconds(text: string): number {
  if (/^\d{1,5}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('allowed is a whole number of seconds.');
}

const lookEveryMs = 30_000;
const cleanEveryMs = 5 * 60_000;

async function watch(options: WatchOptions): Promise<void> {
  const progress = progressTo(options.json ?? false);
  await interruptible(async (signal) => {
    const world = await openWorld(process.env, { ...progress, signal });
    try {
      const look = () => readWatched(world.context.environment, world.context.landscape, signal);
      const watched = await look();
      const rounds = watchRounds(watched, { intervalMs: options.interval, signal, look, lookEveryMs });
      const watcher = new Watcher(world, options, signal, progress.warn);
      if (!options.once) watcher.begin(watched);
      for await (const told of rounds) {
        if (options.once) return once(told, options);
        await watcher.hear(told);
      }
    } finally {
      progress.end();
      await world.close();
    }
  });
}

function once({ round, sight }: Told, { json }: WatchOptions): void {
  if (json) printJson({ code: 'WatchRound', ...round, sight });
  else {
    for (const { target, outcome, milliseconds, why } of round.probes)
      print(`  ${outcome.padEnd(8)} ${String(milliseconds).padStart(5)} ms  ${target.id}${why ? `: ${why}` : ''}`);
    print(sight);
  }
  process.exitCode = onceExit(sight);
}

/** What one look ends with: where it is unclear, nobody knows that the site serves. */
export const onceExit = (sight: Sight): number => (sight === 'serving' ? exitCodes.done : exitCodes.person);

const iso = (at: number) => new Date(at).toISOString();
const agentMs = 2_000;

const blindness = ({ sight, since }: Blind): string =>
  sight === 'cut-off'
    ? `I am cut off: nobody answers since ${iso(since)}, which says nothing of the sites`
    : `I am too busy to judge since ${iso(since)}: give this machine more time, or watch from another one`;

class Watcher {
  private sight: Sight | undefined;
  private cleanedAt = 0;
  private readonly cleanups = new Set<string>();
  private readonly automatic: Automatic;

  constructor(
    private readonly world: World,
    private readonly options: WatchOptions,
    private readonly signal: AbortSignal,
    private readonly warn: (message: string) => void,
  ) {
    const say = (line: string) => this.say('WatchAutomatic', line, {});
    this.automatic = new Automatic(world, { maxLossSeconds: options.maxLoss, say, signal });
  }

  begin({ active, epoch, places }: Watched): void {
    const mode = this.options.automatic ? `; starts a failover by itself, up to ${this.options.maxLoss} s of loss` : '';
    this.say('WatchBegun', `watches ${active.toUpperCase()}, active in epoch ${epoch}${mode}`, {
      active,
      epoch,
      places,
    });
  }

  async hear(told: Told): Promise<void> {
    const { round, sight, events, watched } = told;
    if (this.options.json && sight !== this.sight) {
      const off = round.probes.filter(({ outcome }) => outcome !== 'served').map(({ target }) => target.id);
      printJson({ code: 'WatchSight', at: round.at, sight, off });
    }
    this.sight = sight;
    for (const event of events) await this.tell(event, watched);
    if (this.options.automatic) await this.automatic.consider(told);
    this.clean();
  }

  private async tell(event: WatchEvent, { replica }: Watched): Promise<void> {
    switch (event.type) {
      case 'alarm':
      case 'scope': {
        const { alarm } = event;
        const [line, command] = [headline(alarm), suggestion(alarm, replica)];
        const agent = alarm.sight === 'lost' ? await this.agent(alarm.site) : undefined;
        const heard = agent && known(agent);
        const more = heard ? `; its agent answers: ${heard.state} in epoch ${heard.epoch}` : '';
        const text = `${line} (since ${iso(alarm.since)})${more}; run: ${command}`;
        return this.alert(event.type === 'alarm' ? 'WatchAlarm' : 'WatchAlarmChanged', text, { alarm, command, agent });
      }
      case 'over':
        return this.alert('WatchOver', `over: ${event.alarm.site.toUpperCase()} serves since ${iso(event.at)}`, event);
      case 'blind':
        return this.say('WatchBlind', blindness(event.blind), event);
      case 'sees-again':
        return this.say('WatchSeesAgain', `I can judge again; I could not since ${iso(event.blind.since)}`, event);
    }
  }

  /** What the site's own agent says, asked through its ingress: an agent that answers is not on a lost cluster. */
  private async agent(site: Watched['active']): Promise<Reading<AgentReading>> {
    const signal = within(agentMs, this.signal);
    try {
      const value = await this.world.ports.leases.agent(site, { signal, progress: () => undefined });
      return { at: Date.now(), value };
    } catch (cause) {
      return { at: Date.now(), unknown: (cause as Error).message };
    }
  }

  private alert(code: string, text: string, event: object): void {
    this.say(code, text, event);
    const sent = sendAlert(this.world.context.environment, `standby: ${text}`, { code, ...event }, this.signal);
    sent.catch((cause: Error) => this.warn(cause.message));
  }

  private say(code: string, text: string, event: object): void {
    if (this.options.json) printJson({ code, at: Date.now(), text, ...event });
    else print(`${iso(Date.now())}  ${text}`);
  }

  /** Drills and restored servers whose time is over, beside the rounds. What is left to a person is told once. */
  private clean(): void {
    if (Date.now() - this.cleanedAt < cleanEveryMs) return;
    this.cleanedAt = Date.now();
    const progress = (message: string) => {
      if (!this.cleanups.has(message)) this.say('WatchCleanup', message, {});
      this.cleanups.add(message);
    };
    const { context } = this.world;
    const call = { signal: within(cleanEveryMs, this.signal), progress };
    const work = {
      drills: cleanExpired(context, { signal: this.signal, progress }),
      'restored servers': removeExpiredRestores(context, this.cleanedAt, call),
    };
    for (const [what, done] of Object.entries(work)) {
      done.catch((cause: Error) => {
        if (!this.signal.aborted) this.warn(`${what} could not be cleaned up: ${cause.message}`);
      });
    }
  }
}
