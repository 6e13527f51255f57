/**
 * The last clean second, by asking as few restored servers as can be: each asking is a restore. Which moment to ask next follows
 * from the answers there are, so a search that was cut off goes on where it was. Pure.
 */
import { StandbyError } from '../failover/errors';
import type { Instant, RecoveryRange } from './model';

/** Whole seconds (as an Instant) that were restored and asked, and whether the data were clean then. */
export type Answers = ReadonlyMap<Instant, boolean>;

/** Dirty at one moment and clean at a later one: no single second parts the clean from the dirty. */
export interface Twist {
  readonly dirty: Instant;
  readonly clean: Instant;
}

export type Finding =
  /** To be restored and asked; `left` is how many more there are at most, this one included. */
  | { readonly outcome: 'ask'; readonly at: Instant; readonly left: number }
  /** Clean at `clean`, dirty one second later. */
  | { readonly outcome: 'found'; readonly clean: Instant; readonly dirty: Instant; readonly twist?: Twist }
  /** The newest recovery point is clean. */
  | { readonly outcome: 'newestClean'; readonly clean: Instant; readonly twist?: Twist }
  /** Dirty at both ends, and clean at no moment that was asked. */
  | { readonly outcome: 'noneClean'; readonly earliest: Instant };

const secondMs = 1_000;

/** @returns the whole seconds that lie in a range. @throws StandbyError RangeEmpty when none does. */
export function wholeSeconds({ earliest, latest }: RecoveryRange): RecoveryRange {
  const whole = {
    earliest: Math.ceil(earliest / secondMs) * secondMs,
    latest: Math.floor(latest / secondMs) * secondMs,
  };
  if (whole.earliest <= whole.latest) return whole;
  throw new StandbyError(
    'RangeEmpty',
    `no whole second lies between ${iso(earliest)} and ${iso(latest)}: choose a wider range, or wait for more backups`,
  );
}

/** @returns how many restores a search needs at most: ceil(log2(seconds)) + 2. */
export const mostRestores = (range: RecoveryRange): number => {
  const { earliest, latest } = wholeSeconds(range);
  return halvings(latest - earliest) + (latest === earliest ? 1 : 2);
};

const halvings = (ms: number): number => Math.ceil(Math.log2(Math.max(1, ms / secondMs)));

/**
 * The newest is asked first, then the oldest, then the middle between the last clean one and the first dirty one after it. Between
 * two moments that were asked anything may have happened: what came and went there can't be seen.
 */
export function decide(range: RecoveryRange, answers: Answers): Finding {
  const { earliest, latest } = wholeSeconds(range);
  const asked = [...answers].filter(([at]) => at >= earliest && at <= latest).sort(([a], [b]) => a - b);
  const known = new Map(asked);
  const most = mostRestores(range);
  if (!known.has(latest)) return { outcome: 'ask', at: latest, left: most };
  if (!known.has(earliest)) return { outcome: 'ask', at: earliest, left: known.get(latest) ? 1 : most - 1 };
  // Answers of an earlier, wider search bear witness to what a narrower one can't see.
  const twist = twistIn(answers);
  const said = twist ? { twist } : {};
  const clean = asked.filter(([, isClean]) => isClean).at(-1)?.[0];
  if (clean === undefined) return { outcome: 'noneClean', earliest };
  if (clean === latest) return { outcome: 'newestClean', clean, ...said };
  const dirty = asked.find(([at, isClean]) => !isClean && at > clean)?.[0] ?? latest;
  if (dirty - clean === secondMs) return { outcome: 'found', clean, dirty, ...said };
  const middle = clean + Math.floor((dirty - clean) / 2 / secondMs) * secondMs;
  return { outcome: 'ask', at: middle, left: halvings(dirty - clean) };
}

/** @returns the widest contradiction among the answers. */
function twistIn(answers: Answers): Twist | undefined {
  const at = (wanted: boolean) => [...answers].filter(([, isClean]) => isClean === wanted).map(([moment]) => moment);
  const [dirty, clean] = [Math.min(...at(false)), Math.max(...at(true))];
  return dirty < clean ? { dirty, clean } : undefined;
}

const iso = (at: Instant) => new Date(at).toISOString();

/** @returns what was found, a line each, for people. */
export function describeFinding(finding: Exclude<Finding, { outcome: 'ask' }>): string[] {
  const twist = 'twist' in finding ? finding.twist : undefined;
  const twisted = twist
    ? [
        `the data were dirty at ${iso(twist.dirty)} and clean again at ${iso(twist.clean)}: they changed more than once, so look before you trust what lies before it`,
      ]
    : [];
  switch (finding.outcome) {
    case 'found':
      return [`last clean second: ${iso(finding.clean)}; dirty at ${iso(finding.dirty)}`, ...twisted];
    case 'newestClean':
      return [`the newest recovery point is clean: ${iso(finding.clean)}`, ...twisted];
    case 'noneClean':
      return [
        `no clean recovery point was found: it is dirty at both ends, from ${iso(finding.earliest)} on; name a moment that you know was clean with --since`,
      ];
  }
}
