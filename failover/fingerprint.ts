/** What a plan is bound to: a world that gives another fingerprint is another world. */
import { canonical, digest } from './digest';
import { known, type Observation, type Reading } from './model';

const answers = (reading: Reading<unknown>): boolean => 'value' in reading;

/**
 * @returns SHA-256 (hex) of what decides a plan: the switch, the roles and tokens of the servers, who holds the lease, the newest
 * checkpoint of the failover stack, and what answers. Positions, lags, ages and latencies move all the time and are left out.
 */
export function fingerprint(observation: Observation): string {
  const { configuration, stacks, sites, servers, lease, backups } = observation;
  const held = known(lease);
  const each = <T, R>(all: Readonly<Record<string, T>>, of: (one: T) => R) =>
    Object.fromEntries(Object.entries(all).map(([name, one]) => [name, of(one)]));
  return digest(
    canonical({
      switch: configuration.values,
      release: configuration.release,
      servers: each(servers, (reading) => {
        const server = known(reading);
        return server ? { role: server.role, writable: server.writable, token: server.token ?? null } : 'silent';
      }),
      lease: held ? { mode: held.mode, holder: held.holder ?? null, epoch: held.epoch ?? null } : 'silent',
      failover: known(stacks.failover) ?? 'unknown',
      sites: each(sites, (site) => ({ cluster: answers(site.cluster), identity: answers(site.identity) })),
      backups: each(backups, answers),
    }),
  );
}
