/** Plans in plain words, for people. Pure. */
import type { RunState } from './journal';
import type { BranchOption, Plan } from './model';
import { stillWritable } from './preconditions';
import { fresh } from './readings';
import { restoreOf, skippedText } from './restores';
import type { Making } from './rows';
import { readyAt } from './situation';

const loss = ({ lossSeconds }: Pick<BranchOption, 'lossSeconds'>): string => {
  if (lossSeconds === 'unknown') return 'loses nobody knows what';
  return lossSeconds === 0 ? 'loses nothing' : `loses up to ${Math.ceil(lossSeconds)} s`;
};

export const branchNames = {
  '1a': 'work on the database in use',
  '1b': 'restore the last backup',
  import: 'import the last backup that verified',
  '1c': 'promote the replica',
} as const;

const nameOf = ({ branch, way }: Pick<BranchOption, 'branch' | 'way'>): string =>
  branchNames[way === 'import' ? 'import' : branch];

/** @returns one line for each branch: what it loses and takes, or why it can't be; the one that is taken first in its line. */
export const describeOptions = (plan: Pick<Plan, 'options' | 'branch' | 'why'>): string[] =>
  plan.options.map((option) => {
    const name = `${option.branch === plan.branch ? '*' : ' '} ${option.branch} ${nameOf(option)}`;
    if (option.impossible !== undefined) return `${name}: not possible, ${option.impossible}`;
    const chosen = option.branch === plan.branch ? `; chosen: ${plan.why}` : '';
    return `${name}: ${loss(option)} (${option.lossWhy}), takes about ${option.takesSeconds} s${chosen}`;
  });

export const headline = ({ kind, from, to, branch, epoch, lossSeconds, options }: Plan): string => {
  const name = nameOf(options.find((option) => option.branch === branch) ?? { branch });
  return `${kind} from ${from} to ${to} by branch ${branch} (${name}), epoch ${epoch}: ${loss({ lossSeconds })}`;
};

interface Ending {
  readonly outcome: 'done' | 'aborted';
  readonly abandoned?: string | undefined;
}

/** How a run ended. What was abandoned did not go back: the site that it began at may be fenced. */
export function ending({ outcome, abandoned }: Ending): string {
  if (abandoned !== undefined) return `abandoned where it stood: ${abandoned}`;
  return outcome === 'done' ? 'done' : 'taken back';
}

/** What a person may say to a run that has not ended: what is being taken back goes on as that, and what is committed has no way back. */
export function nextCommands({ aborting, committed }: Pick<RunState, 'aborting' | 'committed'>): string {
  if (aborting) return '`standby abort`';
  return committed ? '`standby resume`' : '`standby resume`, or `standby abort`';
}

/** What a person should read before saying yes. */
export function warningsOf({ situation, branch, switches, fenced, leased }: Making): string[] {
  const { observation, now, from, to, wish, values, current, planned, rules } = situation;
  const silent = (['azure', 'cloudflare'] as const).filter((api) => !fresh(observation.apis[api], now));
  const backup = fresh(observation.backups[current.plan.name], now);
  const restore = branch === '1b' ? restoreOf(situation) : undefined;
  const vault = restore && fresh(observation.vault, now);
  const skipped = vault ? skippedText(vault) : '';
  const next = rules.nextWork(switches.after);
  const follows = rules
    .productionServers(switches.after)
    .some(({ streaming, recovery }) => streaming && recovery?.from === switches.server);
  const said: readonly (readonly [boolean, string])[] = [
    [!fenced, stillWritable(situation)],
    [!leased, 'the writer lease is off: a site that is cut off goes on writing until somebody reaches it'],
    [
      !planned && fenced && readyAt(observation, now, from, values.epoch),
      `${from} answers and runs: a switchover verifies more before anything stops`,
    ],
    ...silent.map(
      (api) => [true, `the API of ${api} does not answer: steps that need it are tried until their limit`] as const,
    ),
    [
      restore?.way === 'geoRestore' && backup?.verifiedAt === undefined,
      `this machine knows of no drill that restored Azure's backup of ${current.plan.name}`,
    ],
    [skipped !== '', skipped],
    [
      values.prepared && typeof next === 'string',
      `nothing is prepared at ${from} afterwards: ${typeof next === 'string' ? next : ''}`,
    ],
    [branch !== '1a' && !follows, `no replica follows ${switches.server} afterwards: reprotect when ${from} answers`],
    [
      wish.kind === 'failback' &&
        wish.acceptLoss === true &&
        situation.previous !== undefined &&
        !situation.previous.reading,
      `rows that only ${situation.previous?.plan.name} has are given up: it does not answer`,
    ],
    [
      Object.values(fresh(observation.records, now) ?? {}).some(
        (content) => content !== observation.ingress[from] && content !== observation.ingress[to],
      ),
      `some public records lead neither to ${from} nor to ${to}: they will lead to ${to}`,
    ],
  ];
  return said.filter(([applies]) => applies).map(([, text]) => text);
}
