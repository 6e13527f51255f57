/** An operator's process, which trusts the parts that a test has started: works on one data set at a time, as it is told. */
import { setMaxListeners } from 'node:events';
import { cloudOf } from '../../../adapters/azure/cloud';
import { identitySet } from '../../../adapters/backup/estate/identity';
import { imagesSet } from '../../../adapters/backup/estate/images';
import { logsSet } from '../../../adapters/backup/estate/logs';
import { monitoringSet } from '../../../adapters/backup/estate/monitoring';
import { namesSet } from '../../../adapters/backup/estate/names';
import type { AdapterContext } from '../../../adapters/context';
import type { ServerTarget } from '../../../adapters/postgres/connection';
import type { EstateFile, EstateSet } from '../../../backup/estate/set';
import type { FailoverConfig } from '../../../config/failover';
import type { Landscape } from '../../../config/landscape';
import { StandbyError } from '../../../failover/errors';

/** Bytes travel as base64. */
export type Sent = readonly { readonly name: string; readonly bytes: string }[];

export interface World {
  readonly configuration: Partial<FailoverConfig>;
  readonly landscape: object;
  readonly target?: ServerTarget;
  readonly logs?: { readonly since: number; readonly now: number };
}

export interface Order {
  readonly id: number;
  readonly world: World;
  readonly set: 'names' | 'monitoring' | 'images' | 'logs' | 'identity' | 'azure';
  readonly method: 'collect' | 'compare' | 'restore' | 'put' | 'get';
  readonly files?: Sent;
  /** For `azure`: a resource to make or to look at. */
  readonly resource?: { readonly id: string; readonly apiVersion: string; readonly body?: object };
}

export interface Report {
  readonly id: number;
  readonly result?: unknown;
  readonly fault?: { readonly code: string; readonly message: string };
}

function setOf(context: AdapterContext, { set, world }: Order): EstateSet {
  switch (set) {
    case 'names':
      return namesSet(context, () => Promise.resolve(false));
    case 'monitoring':
      return monitoringSet(context);
    case 'images':
      return imagesSet(context);
    case 'logs':
      return logsSet(context, world.logs!);
    case 'identity':
      return identitySet({ environment: process.env, target: world.target!, realm: 'moodtalk' });
    case 'azure':
      throw new Error('no data set');
  }
}

const unpack = (files: Sent = []): EstateFile[] =>
  files.map(({ name, bytes }) => ({ name, bytes: Buffer.from(bytes, 'base64') }));
const pack = (files: readonly EstateFile[]): Sent =>
  files.map(({ name, bytes }) => ({ name, bytes: bytes.toString('base64') }));

async function act(order: Order): Promise<unknown> {
  const context: AdapterContext = {
    environment: process.env,
    configuration: () => order.world.configuration as FailoverConfig,
    landscape: order.world.landscape as Landscape,
  };
  const call = { signal: AbortSignal.timeout(60_000), progress: () => undefined };
  if (order.resource) {
    const { id: path, ...rest } = order.resource;
    const method = order.method === 'put' ? 'PUT' : 'GET';
    return (await cloudOf(context).ask<unknown>({ method, path, ...rest, signal: call.signal })).body;
  }
  const set = setOf(context, order);
  if (order.method === 'collect') return pack(await set.collect(call));
  if (order.method === 'compare') return set.compare(unpack(order.files), call);
  return set.restore?.(unpack(order.files), call);
}

// As the command line does: what is asked side by side shares one signal.
setMaxListeners(100);
process.on('message', (order: Order) => {
  void act(order)
    .then(
      (result): Report => ({ id: order.id, result }),
      (cause: Error): Report => ({
        id: order.id,
        fault: { code: cause instanceof StandbyError ? cause.code : (cause.stack ?? ''), message: cause.message },
      }),
    )
    .then((report) => process.send?.(report));
});
process.send?.({ id: 0 });
