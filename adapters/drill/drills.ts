/** Whether there is a drill, what the next one would be, and how the last one goes. */
import * as os from 'node:os';
import { drillGroup, drillHosts, drillNamespace, drillServer, longestDrillHours } from '../../config/drill';
import { productionServers } from '../../config/servers';
import { drillNumber, drillSource, isOver, type DrillPlan, type FoundDrill } from '../../failover/drill';
import type { Instant } from '../../failover/model';
import type { Call } from '../../failover/ports';
import type { AdapterContext } from '../context';
import { removeDrill } from './run';
import { DrillStack } from './stack';

type Known = Pick<AdapterContext, 'environment' | 'configuration'>;

/** @returns the drill that stands, or what is left of one; undefined when there is none. Nothing of the sites is asked. */
export const findDrills = (known: Known, signal: AbortSignal): Promise<FoundDrill | undefined> =>
  new DrillStack(known).find(signal);

const longestMs = longestDrillHours * 3_600_000;

export const drillIsOver = (found: FoundDrill, now: Instant): boolean => isOver(found, now, longestMs);

/** Removes a drill whose time is over. @returns the drill that stands afterwards, if any, and whether one was removed. */
export async function cleanExpired(
  context: AdapterContext,
  call: Call,
): Promise<{ readonly removed: boolean; readonly standing?: FoundDrill }> {
  const stack = new DrillStack(context);
  const found = await stack.find(call.signal);
  if (!found) return { removed: false };
  if (!drillIsOver(found, Date.now())) return { removed: false, standing: found };
  call.progress('removes a drill whose time is over');
  await removeDrill(context, stack, call);
  return { removed: true };
}

export interface DrillWish {
  /** Moment that the copy should show. @default - now */
  readonly at?: Instant;
  readonly lifeMs: number;
  readonly keep: boolean;
}

/** @throws StandbyError NoDrillSource */
export function planDrill({ configuration }: Known, wish: DrillWish, now: Instant): DrillPlan {
  const config = configuration();
  const number = drillNumber(now);
  return {
    number,
    who: `${os.userInfo().username}@${os.hostname()}`,
    startedAt: now,
    expiresAt: now + wish.lifeMs,
    source: drillSource(productionServers(config), wish.at !== undefined),
    pointInTime: wish.at ?? now,
    server: drillServer(config.company, number),
    namespace: drillNamespace(config.company),
    group: drillGroup(config.company),
    hosts: drillHosts(config.hosts),
    release: config.release,
    keep: wish.keep,
  };
}
