/** One world for every kind of plan and every branch, and what a run does to it. */
import type { Switch } from '../../config/failover';
import { StandbyError } from '../../failover/errors';
import type { Branch, Plan, Wish } from '../../failover/model';
import { plan } from '../../failover/planner';
import { execute, type RunOptions } from '../../failover/runner';
import { atHome, bound, promoted, restored, returning, rules, withReplica } from './observations';
import { observe, Process, type Calling, type Mishap } from './process';
import { World } from './world';

export interface Scenario {
  readonly name: string;
  readonly branch: Branch;
  readonly wish: Wish;
  readonly world: () => World;
}

const lost = { lost: 'nobody reaches it', acceptLoss: true };
const world =
  (values: Switch, damage: (world: World) => void = () => undefined, mode: 'on' | 'off' = 'on') =>
  () => {
    const made = new World(values, mode);
    damage(made);
    return made;
  };
const cutOff = (made: World) => made.cutOff('prod');
const loseCluster = (made: World) => made.loseCluster('prod');
const warm = { ...withReplica, prepared: true };

export const scenarios: readonly Scenario[] = [
  { name: 'switchover 1a', branch: '1a', wish: { kind: 'switchover', to: 'intg' }, world: world(atHome) },
  { name: 'switchover 1c', branch: '1c', wish: { kind: 'switchover', to: 'intg' }, world: world(withReplica) },
  {
    name: 'switchover 1a beside a replica',
    branch: '1a',
    wish: { kind: 'switchover', to: 'intg', database: 'prod' },
    world: world(withReplica),
  },
  {
    name: 'switchover 1c, prepared before',
    branch: '1c',
    wish: { kind: 'switchover', to: 'intg' },
    world: world(warm),
  },
  { name: 'failover 1a', branch: '1a', wish: { kind: 'failover', to: 'intg' }, world: world(atHome, loseCluster) },
  {
    name: 'failover 1c, the database lives',
    branch: '1c',
    wish: { kind: 'failover', to: 'intg', database: 'replica' },
    world: world(withReplica, loseCluster),
  },
  {
    name: 'failover 1c',
    branch: '1c',
    wish: { kind: 'failover', to: 'intg', ...lost },
    world: world(withReplica, cutOff),
  },
  {
    name: 'failover 1c, prepared before',
    branch: '1c',
    wish: { kind: 'failover', to: 'intg', ...lost },
    world: world(warm, cutOff),
  },
  { name: 'failover 1b', branch: '1b', wish: { kind: 'failover', to: 'intg', ...lost }, world: world(atHome, cutOff) },
  {
    name: 'failover 1b by import',
    branch: '1b',
    wish: { kind: 'failover', to: 'intg', ...lost },
    world: world(atHome, (made) => {
      cutOff(made);
      made.backups = { azure: false, kept: true };
    }),
  },
  { name: 'failback 1a', branch: '1a', wish: { kind: 'failback', to: 'prod' }, world: world(bound) },
  { name: 'failback after 1b', branch: '1c', wish: { kind: 'failback', to: 'prod' }, world: world(restored) },
  { name: 'failback after 1c', branch: '1c', wish: { kind: 'failback', to: 'prod' }, world: world(promoted) },
  { name: 'failback to a replica', branch: '1c', wish: { kind: 'failback', to: 'prod' }, world: world(returning) },
  {
    name: 'switchover 1c without a lease',
    branch: '1c',
    wish: { kind: 'switchover', to: 'intg' },
    world: world(withReplica, undefined, 'off'),
  },
];

export const planFor = ({ wish }: Pick<Scenario, 'wish'>, made: World): Plan =>
  plan(observe(made), wish, made.clock.now(), rules);

export const options: RunOptions = { who: 'a test', random: () => 0.5 };

export interface Ran {
  readonly process: Process;
  /** How it ended, or what was thrown. */
  readonly ended: Awaited<ReturnType<typeof execute>> | Error;
}

/** Runs a plan in a process of its own. */
export async function run(
  made: World,
  given: Plan,
  more: Partial<RunOptions> & {
    readonly mishapAt?: { readonly index: number; readonly mishap: Mishap };
    readonly before?: (calling: Calling, process: Process) => void;
  } = {},
): Promise<Ran> {
  const { mishapAt, before, ...given2 } = more;
  const process: Process = new Process(made, mishapAt, before && ((calling) => before(calling, process)));
  const ended = await execute(given, process.ports(), { ...options, ...given2 }).catch(
    (cause: unknown) => cause as Error,
  );
  process.end();
  return { process, ended };
}

export const resume = (made: World, given: Plan, more: Partial<RunOptions> = {}): Promise<Ran> =>
  run(made, given, { resume: [], ...more });

export const outcome = ({ ended }: Ran): string => {
  if (ended instanceof StandbyError) return `${ended.code}: ${ended.message}`;
  if (ended instanceof Error) return `${ended.name}: ${ended.message}`;
  return ended.outcome === 'failed' ? `failed at ${ended.step}: ${ended.error} ${ended.message}` : ended.outcome;
};
