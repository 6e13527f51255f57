/** Observations as they look in a world that is well, and what is taken away from it. */
import type { Recovery, Switch } from '../../config/failover';
import { apps, hostNames, otherSite, type Site } from '../../config/fields';
import { nextWork, productionServers } from '../../config/servers';
import { validateSwitch } from '../../config/switch';
import type {
  AppReading,
  Observation,
  Reading,
  ServerReading,
  SiteObservation,
  VaultReading,
} from '../../failover/model';
import type { SwitchRules } from '../../failover/situation';

export const rules: SwitchRules = { validateSwitch, productionServers, nextWork };
export const now = Date.parse('2026-02-01T03:00:00Z');

export const atHome: Switch = {
  ...{ company: 'moodtalk', activeSite: 'prod', database: 'prod', identity: 'prod', epoch: 1 },
  ...{ stage: 'complete', prepared: false, unreachable: 'none', recoveries: [] },
};
export const follower: Recovery = { epoch: 1, site: 'intg', method: 'replica', from: 'psql-moodtalk-prod' };
export const withReplica: Switch = { ...atHome, recoveries: [follower] };
/** INTG works on PROD's database. */
export const bound: Switch = { ...atHome, activeSite: 'intg', epoch: 2, unreachable: 'prod-cluster' };
/** INTG works on what was restored. */
export const restored: Switch = {
  ...{ ...atHome, activeSite: 'intg', database: 'restored', identity: 'restored', epoch: 2, unreachable: 'prod' },
  recoveries: [{ epoch: 2, site: 'intg', method: 'geoRestore', from: 'psql-moodtalk-prod' }],
};
/** INTG works on what was a replica. */
export const promoted: Switch = {
  ...{ ...restored, recoveries: [{ ...follower, promoted: true, promotion: 'forced' }] },
};
/** A replica of INTG's server stands at home. */
export const returning: Switch = {
  ...restored,
  unreachable: 'none',
  recoveries: [...restored.recoveries, { epoch: 2, site: 'prod', method: 'replica', from: 'psql-moodtalk-intg-e2' }],
};

export const value = <T>(what: T, at = now): Reading<T> => ({ at, value: what });
export const silent = (why = 'it does not answer', at = now): { at: number; unknown: string } => ({ at, unknown: why });

export const ingress = { prod: '203.0.10.2', intg: '203.0.20.2' } as const;
const zone = 'moodtalk.ch';
export const hosts = Object.fromEntries(hostNames.map((name) => [name, `${name}.${zone}`])) as Record<
  (typeof hostNames)[number],
  string
>;
const release = `1.4.1@sha256:${'a'.repeat(64)}`;

const running = (count: number, ofEpoch: number): AppReading[] =>
  apps.map((app) => ({ app, wanted: count, ready: count, release, epoch: ofEpoch }));

function siteOf(site: Site, values: Switch): SiteObservation {
  const active = values.activeSite === site;
  const next = nextWork(values);
  const warm = values.prepared && typeof next !== 'string' && next.site === site;
  return {
    cluster: value({ apps: running(active || warm ? 2 : 0, active ? values.epoch : values.epoch + 1) }),
    identity: value({ issuer: `https://idp.${zone}/realms/moodtalk`, keys: ['k1'] }),
    agent: value({ site, epoch: values.epoch, state: active ? ('holding' as const) : ('standby' as const) }),
    front: value(Object.fromEntries(Object.values(hosts).map((host) => [host, active ? 200 : 503]))),
  };
}

function serversOf(values: Switch): Record<string, Reading<ServerReading>> {
  return Object.fromEntries(
    productionServers(values).map(
      ({ name, database: inUse, streaming, recovery }): [string, Reading<ServerReading>] => [
        name,
        value({
          role: streaming ? 'replica' : 'primary',
          writable: inUse,
          token: {
            epoch: inUse || streaming ? values.epoch : (recovery?.epoch ?? 1),
            open: inUse || streaming,
          },
          position: '0/3000148',
          ...(streaming ? { streaming: true, lagSeconds: 0, mayLackSeconds: 0.2 } : {}),
          sessions: inUse ? 10 : 0,
        }),
      ],
    ),
  );
}

/** Everything answers, and is as the switch says. */
export function healthy(values: Switch = atHome): Observation {
  const stack = value({ serial: 7, pending: false });
  const records = Object.fromEntries(Object.values(hosts).map((host) => [host, ingress[values.activeSite]]));
  return {
    at: now,
    configuration: {
      ...{ values, zone, hosts, release, replicas: 2 },
      objectives: { recoveryTimeHours: 24, recoveryPointHours: 24 },
    },
    stacks: { prod: stack, intg: stack, failover: stack },
    sites: { prod: siteOf('prod', values), intg: siteOf('intg', values) },
    servers: serversOf(values),
    backups: Object.fromEntries(
      productionServers(values).map(({ name }) => [
        name,
        value({ recoveryPoint: now - 600_000, verifiedAt: now - 86_400_000 }),
      ]),
    ),
    names: { '1.1.1.1': value(Object.fromEntries(Object.values(hosts).map((host) => [host, ['198.51.100.1']]))) },
    records: value(records),
    lease: value({ mode: 'on', holder: values.activeSite, epoch: values.epoch, ageSeconds: 0.4, version: '1' }),
    apis: { azure: value({ latencyMs: 20 }), cloudflare: value({ latencyMs: 30 }) },
    ingress,
  };
}

/** Nothing of a site answers: its cluster, its agent, and, unless they live, its servers. */
export function lose(observation: Observation, site: Site, what: 'cluster' | 'everything' = 'everything'): Observation {
  const gone = productionServers(observation.configuration.values).filter((server) => server.site === site);
  const names = new Set(what === 'everything' ? gone.map(({ name }) => name) : []);
  return {
    ...observation,
    sites: {
      ...observation.sites,
      [site]: {
        ...observation.sites[site],
        ...{ cluster: silent(), agent: silent(), front: silent() },
        ...(what === 'everything' ? { identity: silent() } : {}),
      },
    },
    servers: Object.fromEntries(
      Object.entries(observation.servers).map(([name, one]) => [name, names.has(name) ? silent() : one]),
    ),
    lease: value({
      mode: 'on',
      holder: site,
      epoch: observation.configuration.values.epoch,
      ageSeconds: 60,
      version: '1',
    }),
  };
}

/** Kept backups of everything, verified an hour after they were taken. */
export function keptBackups(recoveryPoint: number, skipped: Record<string, number> = {}): VaultReading {
  const verified = { verifiedAt: recoveryPoint + 3_600_000, vault: 'intg', bytes: 200_000_000 };
  return {
    dataSets: {
      'database/moodtalk': {
        newest: { id: '20260201T020000Z-aaaaaa', recoveryPoint, ...verified },
        skipped,
      },
      identity: {
        newest: { id: '20260201T010000Z-bbbbbb', recoveryPoint: recoveryPoint - 60_000, ...verified },
        skipped: {},
      },
    },
  };
}

export const change = (observation: Observation, what: Partial<Observation>): Observation => ({
  ...observation,
  ...what,
});
export const serverChange = (observation: Observation, name: string, what: Partial<ServerReading>): Observation => {
  const reading = observation.servers[name];
  if (!reading || !('value' in reading)) throw new Error(`${name} is silent in this observation`);
  return change(observation, { servers: { ...observation.servers, [name]: value({ ...reading.value, ...what }) } });
};
export const passive = (values: Switch): Site => otherSite(values.activeSite);
