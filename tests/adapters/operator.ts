/**
 * An operator's machine: a process at its place outside both sites, with every port made real. It is told what to do by messages,
 * and says what came of it.
 */
import { openWorld, type World } from '../../adapters/wire';
import { StandbyError } from '../../failover/errors';
import type { Ports } from '../../failover/ports';

export interface Order {
  readonly id: number;
  readonly port: keyof Ports;
  readonly method: string;
  readonly args: readonly unknown[];
  /** The method takes a signal alone, and no call. */
  readonly signalOnly: boolean;
}

export interface Report {
  readonly id: number;
  readonly ms: number;
  readonly result?: unknown;
  readonly fault?: { readonly code: string; readonly message: string };
}

type Method = (...args: unknown[]) => Promise<unknown>;

async function carryOut(world: World, { id, port, method, args, signalOnly }: Order): Promise<Report> {
  const signal = AbortSignal.timeout(120_000);
  const target = world.ports[port] as unknown as Record<string, Method>;
  const began = performance.now();
  const ms = () => Math.round(performance.now() - began);
  try {
    const last = signalOnly ? signal : { signal, progress: () => undefined };
    return { id, result: await target[method]?.(...args, last), ms: ms() };
  } catch (cause) {
    const { message } = cause as Error;
    return { id, fault: { code: cause instanceof StandbyError ? cause.code : 'Error', message }, ms: ms() };
  }
}

async function main(): Promise<void> {
  const options = { emit: () => undefined, warn: () => undefined, signal: AbortSignal.timeout(60_000) };
  const world = await openWorld(process.env, options);
  process.on('message', (order: Order) => {
    void carryOut(world, order).then((report) => process.send?.(report));
  });
  process.send?.({ id: 0, ms: 0 });
}

void main();
