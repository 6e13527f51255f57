/** Two ways to carry the plan out: by the engine, one command each, or by a person who changes the configuration and updates. */
import type { Site } from '../world';
import type { Branch } from './exercise';
import * as pulumi from './pulumi';
import { changeRole } from './standby';
import type { StepTime } from './timeline';
import { failoverView } from './view';

export interface Way {
  readonly name: 'engine' | 'pulumi';
  readonly branches: readonly Branch[];
  /** It looks at the previews of all stacks itself, and fails when one is not clean. */
  readonly checksPreviews: boolean;
  describe(what: Branch | 'failback'): string;
  /** INTG's platform runs beforehand, on PROD's database or on a replica of it that is made first. */
  prepare(work: 'database' | 'replica'): Promise<void>;
  /** From PROD to INTG. @returns what it took, step by step. */
  away(branch: Branch): Promise<readonly StepTime[]>;
  home(branch: Branch): Promise<readonly StepTime[]>;
}

const reason = 'exercise: nobody gets to PROD';

const commands: Readonly<Record<Branch | 'failback', readonly string[]>> = {
  '1a': ['failover', '--to', 'intg', '--prod-is-lost', reason],
  '1b': ['failover', '--to', 'intg', '--database', 'restored', '--prod-is-lost', reason, '--accept-loss'],
  '1c': ['failover', '--to', 'intg', '--prod-is-lost', reason, '--accept-loss'],
  switchover: ['switchover', '--from', 'prod', '--to', 'intg'],
  failback: ['failback'],
};

export const byEngine = (report: (line: string) => void): Way => ({
  name: 'engine',
  branches: ['1a', '1b', 'switchover', '1c'],
  checksPreviews: true,
  describe: (what) => `standby ${commands[what].join(' ')}`,
  prepare: async (work) => {
    const { databaseServer, epoch } = failoverView(await pulumi.outputs('failover'));
    const replica = work === 'replica' ? recoveryAt('intg', 'replica', databaseServer, epoch) : {};
    await change({ ...replica, prepared: 'true' });
  },
  away: (branch) => changeRole(commands[branch], report),
  home: () => changeRole(commands.failback, report),
});

export const byPulumi = (): Way => {
  const views = { epoch: async () => failoverView(await pulumi.outputs('failover')).epoch };
  const away: Readonly<Partial<Record<Branch, () => Promise<void>>>> = {
    '1a': async () => change({ activeSite: 'intg', unreachable: 'prod-cluster', epoch: (await views.epoch()) + 1 }),
    '1b': async () => {
      const { databaseServer, epoch } = failoverView(await pulumi.outputs('failover'));
      await change({
        ...{ activeSite: 'intg', database: 'restored', identity: 'restored', unreachable: 'prod', epoch: epoch + 1 },
        ...recoveryAt('intg', 'geoRestore', databaseServer, epoch + 1),
      });
    },
  };
  const home: Readonly<Partial<Record<Branch, () => Promise<void>>>> = {
    '1a': async () => change({ activeSite: 'prod', unreachable: 'none', epoch: (await views.epoch()) + 1 }),
    // A replica of INTG's database is built in PROD while INTG serves, then promoted when INTG has stopped.
    '1b': async () => {
      const { databaseServer, epoch } = failoverView(await pulumi.outputs('failover'));
      const replica = recoveryAt('prod', 'replica', databaseServer, epoch);
      await change({ unreachable: 'none', ...replica });
      const promoted = { [Object.keys(replica)[0]?.replace(/epoch$/, 'promoted') ?? '']: 'true' };
      await change({ activeSite: 'prod', database: 'prod', identity: 'prod', epoch: epoch + 1, ...promoted });
    },
  };
  const run = async (act: (() => Promise<void>) | undefined) => {
    if (!act) throw new Error('this branch is the engine’s');
    await act();
    return [];
  };
  return {
    name: 'pulumi',
    branches: ['1a', '1b'],
    checksPreviews: false,
    describe: () => 'configuration changed, pulumi up -s failover',
    prepare: () => Promise.resolve(),
    away: (branch) => run(away[branch]),
    home: (branch) => run(home[branch]),
  };
};

/** One more entry of `recoveries`, as paths of the configuration. */
function recoveryAt(
  site: Site,
  method: 'geoRestore' | 'replica',
  from: string,
  epoch: number,
): Record<string, string | number> {
  const at = `recoveries[${pulumi.recoveries().length}]`;
  return { [`${at}.epoch`]: epoch, [`${at}.site`]: site, [`${at}.method`]: method, [`${at}.from`]: from };
}

async function change(values: Readonly<Record<string, string | number>>): Promise<void> {
  await pulumi.configure('failover', values);
  await pulumi.up('failover');
}
