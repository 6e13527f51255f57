/** A person's machine outside both sites: restores as it is told, by messages. */
import { AzureRecovery, removeExpiredRestores } from '../../../adapters/backup/recovery/azure';
import { targetOf } from '../../../adapters/backup/recovery/recovery';
import type { AdapterContext } from '../../../adapters/context';
import { serverTarget } from '../../../adapters/places';
import { connected } from '../../../adapters/postgres/connection';
import type { ThrowAwayServer } from '../../../backup/ports';
import { StandbyError } from '../../../failover/errors';

export interface Order {
  readonly id: number;
  readonly act: 'range' | 'restore' | 'remains' | 'remove' | 'clean' | 'sql' | 'discard';
  readonly args: readonly unknown[];
}
export interface Report {
  readonly id: number;
  readonly result?: unknown;
  readonly fault?: { readonly code: string; readonly message: string };
}

const known = JSON.parse(process.env['TRIAL_CONTEXT'] ?? '{}') as {
  readonly configuration: unknown;
  readonly landscape: unknown;
  readonly server: string;
};
const context = {
  configuration: () => known.configuration,
  landscape: known.landscape,
  environment: process.env,
} as AdapterContext;
const recovery = new AzureRecovery({ context, server: known.server, who: 'eva@home' });
const restored = new Map<string, ThrowAwayServer>();

const acts: Readonly<Record<Order['act'], (...args: never[]) => Promise<unknown>>> = {
  range: () => recovery.range(call()),
  restore: async (at: number | 'latest', stay?: { name: string; expiresAt: number }) => {
    const server = await recovery.restore(at, call(), stay);
    restored.set(server.name ?? '', server);
    return { ...server, hidden: !JSON.stringify(server).includes(server.password), remove: undefined };
  },
  remains: () => recovery.remains(call()),
  remove: (name: string) => recovery.remove(name, call()),
  clean: (now: number) => removeExpiredRestores(context, now, call()),
  discard: async (name: string) => restored.get(name)?.remove(),
  sql: async (name: string, text: string, database = 'shop') => {
    const server = restored.get(name);
    const target = server ? targetOf(server, database) : { ...serverTarget(context, name), database };
    const { rows } = await connected(target, call().signal, (client) => client.query<Record<string, unknown>>(text));
    return rows;
  },
};
const call = () => ({ signal: AbortSignal.timeout(60_000), progress: () => undefined });

process.on('message', ({ id, act, args }: Order) => {
  const done = (report: Omit<Report, 'id'>) => process.send?.({ id, ...report });
  acts[act](...(args as never[])).then(
    (result) => done({ result }),
    (cause: Error) =>
      done({ fault: { code: cause instanceof StandbyError ? cause.code : cause.name, message: cause.message } }),
  );
});
process.send?.({ id: 0 });
