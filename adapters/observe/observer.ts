/** Looks at everything at once. What does not answer in time is an unknown with its reason, and holds up nothing else. */
import { sites, type Site } from '../../config/fields';
import {
  known,
  type Configuration,
  type Instant,
  type LeaseReading,
  type NamesReading,
  type Observation,
  type Reading,
  type ServerReading,
  type SiteObservation,
  type VaultReading,
} from '../../failover/model';
import type { Call, Leases, Observer } from '../../failover/ports';
import { apiVersions, cloudOf } from '../azure/cloud';
import type { AdapterContext } from '../context';
import { readCluster } from '../kubernetes/reading';
import { recordsOf, zoneId } from '../names/cloudflare';
import { identityPlace, serverPlaces, serverTarget } from '../places';
import { readServer } from '../postgres/admission';
import { readIdentity } from '../probe/login';
import { addressesFrom, resolversOf } from '../probe/names';
import { askPage, publicHosts } from '../probe/pages';
import { readBackup } from './backups';
import { reading } from './reading';

/** Of a look at one thing. They begin together; what waits for another one gets a little more. */
interface Times {
  readonly lookMs: number;
  readonly followingMs: number;
  readonly tries: number;
}
/** All is over within 5 s. */
const soon: Times = { lookMs: 3_500, followingMs: 4_200, tries: 1 };
/** A vendor in trouble often answers, but late, or the next time: that alone refuses nothing. */
const patient: Times = { lookMs: 10_000, followingMs: 12_000, tries: 3 };

export interface Extra {
  readonly stacks: () => Promise<Observation['stacks']>;
  readonly leases: Leases;
}

type Looking = <T>(act: (limit: AbortSignal) => Promise<T>) => Promise<Reading<T>>;

/** One look at everything. */
interface Look {
  readonly withinMs: number;
  readonly at: Looking;
  /** At what waits for something else that is looked at. */
  readonly following: Looking;
}

const lookOf = (signal: AbortSignal, { lookMs, followingMs, tries }: Times): Look => ({
  withinMs: lookMs,
  at: (act) => reading({ withinMs: lookMs, tries, signal }, act),
  following: (act) => reading({ withinMs: followingMs, tries, signal }, act),
});

export function createObserver(context: AdapterContext, extra: Extra): Observer {
  return { observe: (signal, again = false) => observe(context, extra, lookOf(signal, again ? patient : soon)) };
}

async function observe(context: AdapterContext, { stacks, leases }: Extra, look: Look): Promise<Observation> {
  const at = Date.now();
  const call: (signal: AbortSignal) => Call = (limit) => ({ signal: limit, progress: () => undefined });
  const places = serverPlaces(context);
  const lease = look.at((limit) => leases.read(call(limit)));
  const servers = places.map(({ name, site }) => {
    const server = look.at((limit) => readServer(serverTarget(context, name), limit, { connectMs: look.withinMs }));
    const alive = aliveAt(site, server, lease);
    const backup = look.following((limit) => readBackup(context, name, alive, limit));
    return { name, server, backup };
  });
  const vault = context.configuration().backup && observeVault(context, look);
  const both = sites.map((site) => observeSite(context, leases, site, look));
  const [prod, intg] = both as [Promise<SiteObservation>, Promise<SiteObservation>];
  const zone = publicZone(context, look);
  return settled({
    at,
    configuration: configurationOf(context),
    stacks: readStacks(stacks, look),
    sites: settled({ prod, intg }),
    servers: settled(Object.fromEntries(servers.map(({ name, server }) => [name, server]))),
    backups: settled(Object.fromEntries(servers.map(({ name, backup }) => [name, backup]))),
    ...(vault ? { vault } : {}),
    names: readNames(context, look),
    records: zone.records,
    lease,
    apis: settled({ azure: readAzure(context, look), cloudflare: zone.latency }),
    ingress: {
      prod: context.landscape.sites.prod.network.ingressAddress,
      intg: context.landscape.sites.intg.network.ingressAddress,
    },
  });
}

type Settled<T> = { readonly [K in keyof T]: Awaited<T[K]> };

async function settled<T extends object>(parts: T): Promise<Settled<T>> {
  const entries = Object.entries(parts) as [string, unknown][];
  const values = await Promise.all(entries.map(async ([key, value]) => [key, await value] as const));
  return Object.fromEntries(values) as Settled<T>;
}

/** A server that answers lives; of another one nobody knows more than when its site last held the lease. */
async function aliveAt(
  site: Site,
  server: Promise<Reading<ServerReading>>,
  lease: Promise<Reading<LeaseReading>>,
): Promise<Instant> {
  const seen = await server;
  if ('value' in seen) return seen.at;
  const held = await lease;
  const value = known(held);
  return value?.holder === site && value.ageSeconds !== undefined ? held.at - value.ageSeconds * 1000 : seen.at;
}

/** Nothing of it is loaded where no backups are configured. */
const observeVault = (context: AdapterContext, look: Look): Promise<Reading<VaultReading>> =>
  look.following(async (limit) => (await import('./kept')).readVault(context, limit));

function observeSite(context: AdapterContext, leases: Leases, site: Site, look: Look): Promise<SiteObservation> {
  const { realm } = context.landscape.sites.prod.identity;
  const base = `https://${identityPlace(context, site)}/realms/${realm}`;
  return settled({
    cluster: look.at((limit) => readCluster(context, site, limit)),
    identity: look.at((limit) => readIdentity({ base }, { signal: limit, withinMs: look.withinMs })),
    agent: look.at((limit) => leases.agent(site, { signal: limit, progress: () => undefined })),
    front: look.at((limit) => readFront(context, site, limit, look.withinMs)),
  });
}

/** @returns the status of each public host, 0 of one that is not answered for. @throws Error when none is. */
export async function readFront(
  context: Pick<AdapterContext, 'configuration' | 'landscape'>,
  site: Site,
  signal: AbortSignal,
  withinMs: number,
): Promise<Record<string, number>> {
  const at = context.landscape.sites[site].network.ingressAddress;
  const reach = { signal, withinMs: withinMs - 200, at, anyCertificate: true };
  const hosts = publicHosts(context);
  const answers = await Promise.allSettled(hosts.map((host) => askPage(context, host, reach)));
  const [first] = answers;
  if (first?.status === 'rejected' && answers.every(({ status }) => status === 'rejected')) throw first.reason;
  return Object.fromEntries(
    answers.map((answer, index) => [hosts[index]!.host, answer.status === 'fulfilled' ? answer.value.status : 0]),
  );
}

async function readNames(context: AdapterContext, look: Look): Promise<NamesReading> {
  const entries = resolversOf(context).map(async (resolver) => {
    const answers = await look.at(async (limit) => {
      const hosts = publicHosts(context).map(async ({ host }) => {
        return [host, await addressesFrom(resolver, host, limit, look.withinMs - 200)] as const;
      });
      return Object.fromEntries(await Promise.all(hosts));
    });
    return [resolver, answers] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

function publicZone(context: AdapterContext, look: Look) {
  const { zone } = context.configuration();
  const id = look.at(async (limit) => {
    const began = performance.now();
    const found = await zoneId(context, zone, limit, 1);
    return { found, latencyMs: Math.round(performance.now() - began) };
  });
  const records = look.following(async (limit) => {
    const answer = await id;
    if (!('value' in answer)) throw new Error(answer.unknown);
    const all = await recordsOf(context, answer.value.found, limit, 1);
    const wanted = publicHosts(context).map(({ host }) => host);
    return Object.fromEntries(
      all.filter(({ name, type }) => type === 'A' && wanted.includes(name)).map(({ name, content }) => [name, content]),
    );
  });
  const latency = id.then((answer): Reading<{ readonly latencyMs: number }> =>
    'value' in answer ? { at: answer.at, value: { latencyMs: answer.value.latencyMs } } : answer,
  );
  return { records, latency };
}

/** Something small outside both sites. */
function readAzure(context: AdapterContext, look: Look): Promise<Reading<{ readonly latencyMs: number }>> {
  const { resourceGroup, globalResourceGroup, internalZone } = context.landscape.sites.intg;
  const group = `/subscriptions/${resourceGroup.id.split('/')[2]}/resourceGroups/${globalResourceGroup}`;
  const path = `${group}/providers/Microsoft.Network/privateDnsZones/${internalZone}`;
  return look.at(async (limit) => {
    const order = { path, apiVersion: apiVersions.privateDns, signal: limit, tries: 1 };
    return { latencyMs: Math.round((await cloudOf(context).ask(order)).answer.ms) };
  });
}

async function readStacks(stacks: Extra['stacks'], look: Look): Promise<Observation['stacks']> {
  const all = await look.following(stacks);
  if ('value' in all) return all.value;
  return { prod: all, intg: all, failover: all };
}

function configurationOf({ configuration }: AdapterContext): Configuration {
  const { company, activeSite, database, identity, epoch, stage, prepared, unreachable, recoveries, ...rest } =
    configuration();
  return {
    values: { company, activeSite, database, identity, epoch, stage, prepared, unreachable, recoveries },
    zone: rest.zone,
    hosts: rest.hosts,
    release: rest.release,
    replicas: rest.replicas,
    objectives: rest.objectives,
  };
}
