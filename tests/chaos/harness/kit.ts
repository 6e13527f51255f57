/** What scenarios have in common: a world to begin with, two writers all along, and what must hold at the end of each. */
import { expect } from 'chai';
import { runStandby, type Ended, type Options } from './command';
import { endState, WriteCount, type EndState } from './state';
import { ChaosWorld, stacks } from './world';
import { Writers, type Site } from './writers';

/** `plain`: no replica, so a lost PROD is restored from its backup. `replica`: INTG follows PROD. Active is PROD, epoch 1. */
export type Base = 'plain' | 'replica';

const otherOf = (site: Site): Site => (site === 'prod' ? 'intg' : 'prod');

/** Worlds are dear: the files of a suite share one, which goes when mocha ends. */
let shared: ChaosWorld | undefined;

/** STANDBY_CHAOS_HOME: a folder that is kept at the end, and what was built there is not built again. */
async function worldWith(base: Base, number: number): Promise<ChaosWorld> {
  const world = (shared ??= new ChaosWorld(number, process.env['STANDBY_CHAOS_HOME']));
  if (world.hasKept(base)) {
    await world.rewind(base);
    return world;
  }
  if (base === 'replica' && world.hasKept('plain')) await world.rewind('plain');
  else {
    await world.startAnew();
    await world.build();
  }
  if (base === 'replica') await makeReplica(world);
  await world.sandbox('keep', base);
  return world;
}

/** The end of the shared world. */
export const leaveWorld = async (): Promise<void> => {
  await shared?.remove();
  shared = undefined;
};

export async function makeReplica(world: ChaosWorld): Promise<void> {
  const at = 'recoveries[0]';
  await world.configure({
    [`${at}.epoch`]: 1,
    [`${at}.site`]: 'intg',
    [`${at}.method`]: 'replica',
    [`${at}.from`]: 'psql-moodtalk-prod',
  });
  await world.update('failover');
}

/** One course of events in a world of its own. */
export class Scenario {
  readonly writers: Writers;
  private active: Site = 'prod';
  private epoch = 1;
  private readonly deletes: WriteCount;

  private constructor(readonly world: ChaosWorld) {
    this.writers = new Writers(world);
    this.deletes = new WriteCount(world);
    this.writers.give('prod', 1);
  }

  static async begin(base: Base, number: number): Promise<Scenario> {
    return Scenario.in(await worldWith(base, number));
  }

  /** In a world that is up, with PROD active in epoch 1. */
  static async in(world: ChaosWorld): Promise<Scenario> {
    const scenario = new Scenario(world);
    await scenario.writers.start();
    await until('the first accepted write of PROD', () => scenario.wrote('prod', 1), 180_000);
    await until('every instance is ready', () => world.ready(), 180_000, 500);
    return scenario;
  }

  /** The site that takes over next has its login before the command is given. */
  expectMove(): void {
    this.writers.give(otherOf(this.active), this.epoch + 1);
  }

  /** The role has changed: from now on the other one is the active site. */
  moved(): void {
    this.active = otherOf(this.active);
    this.epoch += 1;
  }

  wrote(site: Site, epoch: number, since = 0): boolean {
    return this.writers.accepted().some((one) => one.site === site && one.epoch === epoch && one.at >= since);
  }

  standby(args: readonly string[], options: Options = {}): Promise<Ended> {
    return runStandby(this.world, args, options);
  }

  /** Runs a command, then `resume` for as long as it was killed or said that it can go on. @returns the last end. */
  async insist(args: readonly string[], options: Options = {}, most = 40): Promise<Ended> {
    let ended = await this.standby(args, options);
    for (let n = 0; n < most && (ended.code === undefined || ended.code === exits.resumable); n += 1) {
      ended = await this.standby(['resume'], options);
    }
    return ended;
  }

  /** Two sites never could write at one time. */
  expectOneWriter(): void {
    expect(this.writers.violations(), 'moments at which two sites could write').to.deep.equal([]);
  }

  /** The active site can write, by its newest login, and nobody else; the stacks preview clean; no data was thrown away. */
  async expectEnd(): Promise<EndState> {
    const since = Date.now();
    await until(
      `a write of ${this.active} in epoch ${this.epoch}`,
      () => this.wrote(this.active, this.epoch, since),
      180_000,
    );
    this.expectOneWriter();
    const state = await endState(this.world);
    expect(state).to.deep.include({ activeSite: this.active, epoch: this.epoch });
    for (const stack of stacks) expect(state.previews[stack], `preview of ${stack}`).to.equal('');
    expect(
      this.deletes
        .writes()
        .filter((line) => /DELETE .*\/(flexibleServers\/[^/]+|vaults\/[^/]+|storageAccounts\/[^/]+)$/i.test(line)),
      'data that was thrown away',
    ).to.deep.equal([]);
    return state;
  }

  /** What a second run writes at the vendors and clusters. */
  async writesOf(act: () => Promise<unknown>): Promise<readonly string[]> {
    const count = new WriteCount(this.world);
    await act();
    return count.writes();
  }

  async end(): Promise<void> {
    this.world.heal();
    await this.writers.stop();
  }
}

/** Exit codes that scenarios speak of (failover/errors.ts). */
export { exitCodes as exits } from '../../../failover/errors';
import { exitCodes as exits } from '../../../failover/errors';

/** @param everyMs - between two questions: a question that starts processes should not slow down what it waits for. */
export async function until(
  what: string,
  ask: () => boolean | Promise<boolean>,
  ms: number,
  everyMs = 50,
): Promise<void> {
  const end = Date.now() + ms;
  while (!(await ask())) {
    if (Date.now() > end) throw new Error(`${what}: not within ${ms / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
