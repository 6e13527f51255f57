/** A run as it goes: a tree on a terminal, one line an event without one, typed events with `--json`. */
import { ending, headline } from '../../failover/messages';
import type { Facts, Plan, RunEvent, StepId } from '../../failover/model';
import { paintFor, print, printJson, seconds, type Colour, type Paint } from '../output';

export interface Progress {
  readonly emit: (event: RunEvent) => void;
  readonly warn: (message: string) => void;
  /** Leaves what is on the screen. */
  readonly end: () => void;
}

export function progressTo(json: boolean): Progress {
  if (json) return jsonProgress();
  return process.stdout.isTTY && process.env['TERM'] !== 'dumb' ? new Tree() : new Lines();
}

const jsonProgress = (): Progress => ({
  emit: printJson,
  warn: (message) => printJson({ at: Date.now(), code: 'Warning', message }),
  end: () => undefined,
});

/** Facts that fit beside a step. */
const short = (facts: Facts): string =>
  Object.entries(facts)
    .flatMap(([key, value]) => (typeof value === 'object' ? [] : [`${key} ${value}`]))
    .join(', ')
    .slice(0, 100);

/** @returns what an event says, after the name of its step. */
function words(event: RunEvent): string {
  switch (event.code) {
    case 'RunStarted':
      return `run ${event.run} ${event.resumed ? 'goes on' : 'begins'}: ${headline(event.plan)}`;
    case 'StepStarted':
      return event.attempt > 1 ? `attempt ${event.attempt}` : 'begins';
    case 'StepProgress':
      return event.message;
    case 'StepSkipped':
      return `skipped: ${event.why}`;
    case 'StepDone': {
      const facts = short(event.facts);
      return `done in ${seconds(event.seconds)}${facts ? ` (${facts})` : ''}`;
    }
    case 'StepFailed': {
      const next = event.retryInSeconds === undefined ? '' : `; again in ${seconds(event.retryInSeconds)}`;
      return `failed: ${event.message}${next}`;
    }
    case 'StepUndone':
      return 'taken back';
    case 'RunEnded': {
      const { result } = event;
      return result.outcome === 'failed'
        ? `run ${event.run} stopped at ${result.step}`
        : `run ${event.run} ${result.outcome === 'done' ? 'is' : 'was'} ${ending(result)}, ${seconds(result.seconds)}`;
    }
  }
}

const clock = (at: number) => new Date(at).toISOString().slice(11, 19);

class Lines implements Progress {
  private startedAt: number | undefined;

  readonly emit = (event: RunEvent): void => {
    this.startedAt ??= event.at;
    const elapsed = `+${((event.at - this.startedAt) / 1000).toFixed(1)}`.padStart(7);
    const step = 'step' in event ? `${event.step}: ` : '';
    print(`${clock(event.at)} ${elapsed} s  ${step}${words(event)}`);
  };
  readonly warn = (message: string): void => print(`${clock(Date.now())}            warning: ${message}`);
  readonly end = (): void => undefined;
}

interface Row {
  readonly state: 'waiting' | 'running' | 'done' | 'skipped' | 'failed' | 'undone';
  readonly says: string;
  readonly startedAt?: number;
}

const marks: Readonly<Record<Row['state'], readonly [string, Colour]>> = {
  waiting: ['·', 'dim'],
  running: ['▸', 'bold'],
  done: ['✓', 'green'],
  skipped: ['–', 'dim'],
  failed: ['✗', 'red'],
  undone: ['↺', 'yellow'],
};
const redrawMs = 200;

class Tree implements Progress {
  private readonly paint: Paint = paintFor(process.stdout);
  private plan: Plan | undefined;
  private startedAt = Date.now();
  /** Nobody could write from here on. */
  private fencedAt: number | undefined;
  private servedAt: number | undefined;
  private over = false;
  private readonly rows = new Map<StepId, Row>();
  private drawn = 0;
  private timer: NodeJS.Timeout | undefined;

  readonly emit = (event: RunEvent): void => {
    if (event.code === 'RunStarted') {
      this.plan = event.plan;
      this.startedAt = event.at;
      for (const { id } of event.plan.steps) this.rows.set(id, { state: 'waiting', says: '' });
      this.timer ??= setInterval(() => this.draw(), redrawMs).unref();
    }
    if ('step' in event) this.turn(event);
    this.draw();
  };

  private turn(event: Extract<RunEvent, { readonly step: StepId }>): void {
    const before = this.rows.get(event.step);
    const began = before?.startedAt ?? event.at;
    const set = (state: Row['state'], says: string) => this.rows.set(event.step, { state, says, startedAt: began });
    switch (event.code) {
      case 'StepStarted':
        if (event.step.startsWith('fence-')) this.fencedAt ??= event.at;
        return void set('running', event.attempt > 1 ? words(event) : '');
      case 'StepProgress':
        return void set(before?.state ?? 'running', event.message);
      case 'StepSkipped':
        return void set('skipped', event.why);
      case 'StepDone':
        if (event.step === 'verify-outside') this.servedAt = event.at;
        return void set('done', words(event));
      case 'StepFailed':
        return void set(event.retryInSeconds === undefined ? 'failed' : 'running', words(event));
      case 'StepUndone':
        return void set('undone', '');
    }
  }

  private clear(): void {
    if (this.drawn > 0) process.stdout.write(`\x1b[${this.drawn}A\x1b[0J`);
    this.drawn = 0;
  }

  private draw(): void {
    if (!this.plan) return;
    const room = Math.max(4, (process.stdout.rows ?? 24) - 1);
    const width = Math.max(40, process.stdout.columns ?? 80);
    const all = this.plan.steps.map((step) => this.line(step, width));
    // On a low screen what has ended goes first.
    const body = all.slice(Math.max(0, Math.min(all.length - room + 1, this.firstOpen() - 2)));
    const lines = [this.head(width), ...body.slice(0, room - 1)];
    this.clear();
    process.stdout.write(`${lines.join('\n')}\n`);
    this.drawn = lines.length;
  }

  private firstOpen(): number {
    const open = [...this.rows.values()].findIndex(({ state }) => state === 'waiting' || state === 'running');
    return open < 0 ? this.rows.size : open;
  }

  private head(width: number): string {
    if (!this.plan) return '';
    const { kind, from, to, branch, targetSeconds } = this.plan;
    // In a planned change only the time in which nobody can write counts.
    const planned = kind !== 'failover';
    const since = planned ? this.fencedAt : this.startedAt;
    const now = this.servedAt ?? Date.now();
    const counted = since === undefined ? 0 : (now - since) / 1000;
    const what = this.servedAt ? 'outside served after' : planned ? 'not served for' : 'running for';
    const clocked =
      since === undefined
        ? `getting ready, ${seconds((now - this.startedAt) / 1000)}`
        : `${what} ${seconds(counted)} of ${seconds(targetSeconds)}`;
    const text = `${kind} ${from} → ${to} (${branch}): ${clocked}`;
    return this.paint(counted > targetSeconds ? 'yellow' : 'bold', text.slice(0, width - 1));
  }

  private line(step: Plan['steps'][number], width: number): string {
    const { state, says, startedAt } = this.rows.get(step.id) ?? { state: 'waiting' as const, says: '' };
    const [mark, colour] = marks[state];
    const passed =
      state === 'running' && startedAt
        ? ` ${seconds((Date.now() - startedAt) / 1000)} of ${seconds(step.limitSeconds)}`
        : '';
    const text = `${step.title}${passed}${says ? `  ${says}` : ''}`;
    return `${this.paint(colour, mark)} ${text.replaceAll('\n', ' ').slice(0, width - 3)}`;
  }

  readonly warn = (message: string): void => {
    this.clear();
    process.stdout.write(`${this.paint('yellow', `warning: ${message}`)}\n`);
    this.draw();
  };

  readonly end = (): void => {
    clearInterval(this.timer);
    if (!this.over) this.draw();
    this.over = true;
    this.drawn = 0;
  };
}
