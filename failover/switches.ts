/** The switch before, between and after the steps of a plan: complete values, each one that `pulumi up` can stand on. Pure. */
import type { Recovery, Switch } from '../config/failover';
import { StandbyError } from './errors';
import type { Branch } from './model';
import { promotionOf } from './branches';
import { recoveryBy, restoreOf } from './restores';
import { unreachable, type Situation } from './situation';

export interface Switches {
  readonly after: Switch;
  /** Failback: the replica at home is made, the business stays. */
  readonly reprotect?: Switch;
  /** The site that takes over runs, and can't write. */
  readonly prepare: Switch;
  /** The restored server is made, closed. */
  readonly made: Switch;
  /** The site that takes over runs and writes; the names stay. */
  readonly bound: Switch;
  /** Way back from `prepare`. */
  readonly unprepared: Switch;
  /** Way back from `made`: what was restored stays, and nobody will work on it. */
  readonly unmade: Switch;
  /** Server that is worked on afterwards. */
  readonly server: string;
}

const reprotected = ({ values, replica, current, to, wish }: Situation, branch: Branch): Switch | undefined => {
  if (wish.kind !== 'failback' || branch !== '1c' || replica?.reading?.streaming) return undefined;
  const entry: Recovery = { epoch: values.epoch, site: to, method: 'replica', from: current.plan.name };
  return { ...values, unreachable: 'none', recoveries: replica ? values.recoveries : [...values.recoveries, entry] };
};

/** The servers that there are after the change of role. */
function recoveriesOf(situation: Situation, branch: Branch, before: Switch, epoch: number): readonly Recovery[] {
  const { to, current } = situation;
  switch (branch) {
    case '1a':
      return before.recoveries;
    case '1b':
      return [...before.recoveries, recoveryBy(restoreOf(situation), { epoch, site: to, from: current.plan.name })];
    case '1c': {
      const newest = before.recoveries.findLastIndex(({ site }) => site === to);
      const how = promotionOf(situation);
      return before.recoveries.map((recovery, index) =>
        index === newest ? { ...recovery, promoted: true, ...(how === 'forced' ? { promotion: how } : {}) } : recovery,
      );
    }
  }
}

export function switchesOf(situation: Situation, branch: Branch): Switches {
  const { values: before, to, epoch, rules } = situation;
  const reprotect = reprotected(situation, branch);
  const ready = reprotect ?? before;
  const recoveries = [...recoveriesOf(situation, branch, ready, epoch)];
  const choice = to === 'prod' ? 'prod' : 'restored';
  const after: Switch = {
    ...before,
    ...{ activeSite: to, epoch, stage: 'complete', unreachable: unreachable(situation), recoveries },
    ...(branch === '1a' ? {} : { database: choice, identity: choice }),
  };
  const given = recoveries.at(-1);
  const abandoned = 'restored for a failover that was aborted before anything was written on it';
  const switches = {
    after,
    ...(reprotect ? { reprotect } : {}),
    prepare: { ...ready, unreachable: 'none', prepared: true },
    made: { ...after, stage: 'made' },
    bound: { ...after, stage: 'bound' },
    unprepared: { ...ready, unreachable: 'none' },
    unmade:
      branch === '1b' && given
        ? { ...before, epoch, unreachable: 'none', recoveries: [...before.recoveries, { ...given, abandoned }] }
        : before,
  } as const satisfies Omit<Switches, 'server'>;
  const server = rules.productionServers(after).find(({ database }) => database);
  if (!server) throw new StandbyError('NoDatabase', 'the switch after this plan names no database: this is a defect');
  return { ...switches, server: server.name };
}

/** @throws StandbyError SwitchRefused with everything that is wrong, before anything is touched. */
export function validate(values: Switch, what: string, { rules }: Situation): void {
  const issues = rules.validateSwitch(values);
  if (issues.length === 0) return;
  const lines = issues.map(
    ({ key, got, allowed, fix }) => `${key} is ${JSON.stringify(got)}, allowed is ${allowed}: ${fix}`,
  );
  throw new StandbyError('SwitchRefused', `the switch ${what} would be refused: ${lines.join('; ')}`);
}
