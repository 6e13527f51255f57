/** What a restore is about: where the past comes from, the server that has the business now, and how the one becomes the other. */
import * as os from 'node:os';
import type { Switch } from '../../../config/failover';
import { recoveredServer, type ServerPlan } from '../../../config/servers';
import { StandbyError } from '../../../failover/errors';
import type { Instant } from '../../../backup/model';
import type { ThrowAwayServer } from '../../../backup/ports';
import { runsFolder } from '../../journal/local';
import { serverPlaces, serverTarget } from '../../places';
import { admit, fence } from '../../postgres/admission';
import type { ServerTarget } from '../../postgres/connection';
import { openContext } from '../../wire';
import { AzureRecovery, recoveriesOf } from './azure';
import type { Recovery } from './recovery';
import { selfRunRecovery, selfRunServer } from './selfRun';

type Environment = Readonly<Record<string, string | undefined>>;

export interface Scene {
  readonly recovery: Recovery;
  /** Wherever restores may have left something. */
  readonly recoveries: readonly Recovery[];
  readonly live: ServerTarget;
  /** Of the live server, as people call it. */
  readonly name: string;
  /** Folder of what commands leave. */
  readonly runs: string;
  /** Name of a server that stays. */
  newName(at: Instant): string;
  /** What a person does to work on a restored server. */
  switchTo(server: Pick<ThrowAwayServer, 'host' | 'port' | 'recoveryPoint'>): readonly string[];
  /** What removes a restored server whose time is over. */
  readonly remover: string;
  /** Takes the right to write from the applications. @returns sessions that were ended. @throws StandbyError NoFence */
  stopWrites(signal: AbortSignal): Promise<number>;
  /** Gives it back. @throws StandbyError NoFence */
  openWrites(signal: AbortSignal): Promise<void>;
}

export const froms = ['azure', 'pgbackrest'] as const;
export type From = (typeof froms)[number];

export const openScene = (from: From, environment: Environment, signal: AbortSignal): Promise<Scene> =>
  from === 'azure' ? managed(environment, signal) : Promise.resolve(selfRun(environment));

const who = (): string => `${os.userInfo().username}@${os.hostname()}`;
const stamp = (at: Instant): string => new Date(at).toISOString().replace(/\D/g, '').slice(0, 14);

async function managed(environment: Environment, signal: AbortSignal): Promise<Scene> {
  const context = await openContext(environment, signal);
  const { company, epoch } = context.configuration();
  const place = serverPlaces(context).find(({ database }) => database);
  if (!place) throw new StandbyError('NoSuchServer', 'no server of the plan has the business: see `standby status`');
  const live = serverTarget(context, place.name);
  return {
    recovery: new AzureRecovery({ context, server: place.name, who: who() }),
    recoveries: recoveriesOf(context, who()),
    ...{ live, name: place.name, runs: runsFolder(environment) },
    newName: (at) => `${recoveredServer(company, { site: place.site, epoch: epoch + 1 })}-${stamp(at)}`,
    switchTo: ({ recoveryPoint }) => [
      `it has the databases, logins and passwords of ${place.name} as they were, closed as they were; its firewall admits operators alone: look at it`,
      ...(recoveryPoint === undefined ? [] : wayBehind(context.configuration(), place, recoveryPoint)),
    ],
    remover: '`standby restore --cleanup`',
    stopWrites: async (within) => (await fence(live, epoch, true, within)).cut,
    openWrites: (within) => admit(live, epoch, within),
  };
}

/**
 * What a person types to have the business work on a server's data as they were: the plan makes its own server from the same second,
 * protected, fenced and watched as all of its servers are.
 */
export function wayBehind(
  { company, epoch, recoveries }: Switch,
  { name, site }: Pick<ServerPlan, 'name' | 'site'>,
  at: Instant,
): readonly string[] {
  const next = epoch + 1;
  const entry = {
    epoch: next,
    site,
    method: 'pointInTimeRestore',
    from: name,
    pointInTime: new Date(at).toISOString(),
  };
  const values = [
    ['epoch', next],
    ...Object.entries(entry).map(([key, value]) => [`recoveries[${recoveries.length}].${key}`, value]),
  ];
  const pairs = values.map(([key, value]) => `--plaintext 'standby:${key}=${value}'`);
  return [
    `to have the business work on these data, type the two lines below: Azure makes ${recoveredServer(company, { site, epoch: next })} from the same second, ${name} is closed and kept with all that was committed later`,
    `pulumi config set-all --stack failover --path ${pairs.join(' ')}`,
    'pulumi up --stack failover',
  ];
}

function selfRun(environment: Environment): Scene {
  const live = selfRunServer(environment);
  const noFence = () =>
    Promise.reject(
      new StandbyError(
        'NoFence',
        `${live.host} has no epochs to close: stop its applications yourself, then leave the option out`,
      ),
    );
  const recovery = selfRunRecovery(environment, who());
  return {
    ...{ recovery, recoveries: [recovery] },
    ...{ live, name: live.host, runs: runsFolder(environment) },
    newName: (at) => `restored-${stamp(at)}`,
    switchTo: ({ host, port }) => [
      `it runs on ${host}:${port}, with the logins of ${live.host} as they were, and archives nothing`,
      'to work on it: stop it, give its folder `data` to the service of the live server, and make a new backup at once',
    ],
    remover: '`standby restore --from pgbackrest --cleanup`',
    stopWrites: noFence,
    openWrites: noFence,
  };
}
