/** What is done to a server as a whole, one thing at a time; and the round that keeps what should run running. */
import * as fs from 'node:fs';
import { isCutOff } from '../../silence';
import { geoReplicationSeconds, regionOf } from '../../world';
import { ensureReceiver, flushToStore, localStore, removeRemains, stopReceiver, takeBase } from './backup';
import {
  clear,
  createRoles,
  initialize,
  isUp,
  setPassword,
  sql,
  startCluster,
  stopCluster,
  walSegmentBytes,
} from './cluster';
import { listRecords, readRecord, serverFolder, writeRecord, type ServerRecord } from './record';
import { createReplica, dropSlot, followSettings, promote, slotOf, slotPrefix } from './replica';
import { recoveryFloor, restoreCluster } from './restore';
import { pairOf, Store, type StoreFacts } from './store';

export type Origin =
  | { readonly from: 'nothing'; readonly password: string }
  | { readonly from: 'backup'; readonly store: Store; readonly target?: Date; readonly password?: string }
  | { readonly from: 'server'; readonly source: ServerRecord };

/** sku and storage in wire form, kept with the backups. */
export type Shape = StoreFacts['shape'];

const queues = new Map<string, Promise<void>>();

/** Runs what is done to one server after what is being done to it already. */
export function exclusively<T>(name: string, act: () => Promise<T>): Promise<T> {
  const result = (queues.get(name) ?? Promise.resolve()).then(act);
  const settled: Promise<void> = result
    .then(
      () => undefined,
      () => undefined,
    )
    .then(() => {
      if (queues.get(name) === settled) queues.delete(name);
    });
  queues.set(name, settled);
  return result;
}

export const unreachable = (record: Pick<ServerRecord, 'site'>) => isCutOff(record.site);

/** Brings a new server into being. Repeatable: what an interrupted call left is made anew. */
export async function createServer(record: ServerRecord, origin: Origin, shape: Shape): Promise<void> {
  await stopCluster(record);
  await stopReceiver(record);
  writeRecord({ ...record, phase: 'creating' });
  await clear(record);
  if (origin.from === 'nothing') {
    await initialize(record);
    await startCluster(record);
    await createRoles(record, origin.password);
  } else if (origin.from === 'backup') {
    await restoreCluster(record, origin.store, origin.target);
    if (origin.password) await setPassword(record, origin.password);
  } else {
    await createReplica(record, origin.source);
  }
  record.phase = 'ready';
  writeRecord(record);
  if (record.role === 'primary') openStore(record, shape);
}

/** From here on the server is backed up: the next round takes the first base backup. */
function openStore(record: ServerRecord, shape: Shape): void {
  const store = localStore(record);
  store.make();
  store.writeFacts({
    resourceId: record.resourceId,
    name: record.name,
    region: regionOf[record.site],
    administratorLogin: record.administratorLogin,
    parameters: floorOf(record.parameters),
    retentionDays: record.retentionDays,
    geoRedundant: record.geoRedundant,
    shape,
    createdAt: new Date().toISOString(),
  });
}

const floorOf = (parameters: ServerRecord['parameters']) =>
  Object.fromEntries(Object.entries(parameters).filter(([name]) => recoveryFloor.includes(name)));

/** Stores a changed record, and what of it the backups must know. */
export function update(record: ServerRecord, shape?: Shape): void {
  writeRecord(record);
  const store = localStore(record);
  const facts = store.facts();
  if (!facts) return;
  const { retentionDays } = record;
  store.writeFacts({ ...facts, retentionDays, parameters: floorOf(record.parameters), shape: shape ?? facts.shape });
}

/** Settings that a replica runs with, none for a primary. */
export function standing(record: ServerRecord): Readonly<Record<string, string>> {
  const source = record.role === 'replica' && record.source ? readRecord(record.source) : undefined;
  return source ? followSettings(record, source) : {};
}

export async function startServer(record: ServerRecord): Promise<void> {
  await startCluster(record, standing(record));
  if (record.role === 'primary') await ensureReceiver(record);
}

export async function stopServer(record: ServerRecord, graceMs?: number): Promise<void> {
  await stopCluster(record, graceMs);
  await stopReceiver(record);
}

/** @throws SourceUnreachable when `planned` and the source does not answer */
export async function promoteServer(record: ServerRecord, option: 'planned' | 'forced', shape: Shape): Promise<void> {
  const source = record.source ? readRecord(record.source) : undefined;
  await promote(record, source, option);
  record.role = 'primary';
  delete record.source;
  writeRecord(record);
  openStore(record, shape);
}

/** Takes the server away; its backups stay for as long as they were to be kept. */
export async function removeServer(record: ServerRecord): Promise<void> {
  await stopServer(record);
  const source = record.source ? readRecord(record.source) : undefined;
  if (source && !unreachable(source) && isUp(source)) await dropSlot(record, source).catch(() => undefined);
  const droppedAt = new Date().toISOString();
  for (const store of [localStore(record), geoTarget(record)]) {
    const facts = store?.facts();
    if (facts) store?.writeFacts({ ...facts, droppedAt });
  }
  await fs.promises.rm(serverFolder(record.name), { recursive: true, force: true });
}

/** Makes sure that all that is committed now is in the store, where the server can still say. */
export async function bringUpToDate(source: ServerRecord | undefined): Promise<void> {
  if (source?.role === 'primary' && !unreachable(source) && isUp(source)) await flushToStore(source);
}

const dayMs = 86_400_000;
const retryMs = 10_000;
const backing = new Set<string>();
const failedAt = new Map<string, number>();

/** More log than this would make a restore slow: it is replayed on the newest base backup. */
const mostLogBytes = 64 * 1024 * 1024;

function isFresh(store: Store, now: number): boolean {
  const newest = store.bases().findLast((base) => base.type === 'Full');
  if (!newest || now - Date.parse(newest.completedAt) >= dayMs) return false;
  const since = store.segments().filter((segment) => segment > newest.startSegment);
  return since.length * walSegmentBytes < mostLogBytes;
}

/** Receiver running, a recent base backup there, what is too old pruned. One at a time for each server. */
export async function keepBackedUp(record: ServerRecord, now = Date.now()): Promise<void> {
  if (backing.has(record.name) || now - (failedAt.get(record.name) ?? 0) < retryMs) return;
  backing.add(record.name);
  try {
    await ensureReceiver(record);
    const store = localStore(record);
    if (isFresh(store, now)) return;
    await removeRemains(store);
    await takeBase(record, 'Full');
    await store.prune(record.retentionDays);
  } catch (cause) {
    failedAt.set(record.name, now);
    throw cause;
  } finally {
    backing.delete(record.name);
  }
}

/** Log that the source keeps for replicas that are gone. */
async function dropOrphanSlots(record: ServerRecord): Promise<void> {
  const wanted = listRecords()
    .filter((other) => other.source === record.name)
    .map(slotOf);
  await sql(
    record,
    `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
     WHERE NOT active AND starts_with(slot_name, $1) AND NOT slot_name = ANY ($2)`,
    [slotPrefix, wanted],
  );
}

const geoTarget = (record: ServerRecord): Store | undefined => {
  const pair = pairOf(regionOf[record.site]);
  return pair && record.geoRedundant ? Store.of(record, pair) : undefined;
};

const replicating = new Map<string, number>();

/** Brings the copy in the paired region up to date, when it is time and the region can be reached. */
async function keepReplicated(record: ServerRecord): Promise<void> {
  const target = geoTarget(record);
  const last = replicating.get(record.name) ?? 0;
  if (!target || unreachable(record) || Date.now() - last < geoReplicationSeconds * 1000) return;
  replicating.set(record.name, Infinity);
  const began = Date.now();
  try {
    await localStore(record).replicateTo(target, () => !unreachable(record));
  } finally {
    replicating.set(record.name, began);
  }
}

type Log = (line: string) => void;

/** Starts a server that ended by itself. */
async function keepRunning(name: string, log: Log): Promise<void> {
  const record = readRecord(name);
  if (record?.phase !== 'ready' || record.desired !== 'running' || isUp(record)) return;
  log(`server ${name} is not running; starting it`);
  await startServer(record);
}

const roundMs = 1_000;
const roundsBetweenSlots = 60;
const roundsBetweenPrunes = 3_600;

async function round(name: string, count: number, log: Log): Promise<void> {
  if (queues.has(name)) return; // Something is being done to it; the next round will look.
  await exclusively(name, () => keepRunning(name, log));
  const record = readRecord(name);
  if (record?.phase !== 'ready' || record.role !== 'primary' || unreachable(record)) return;
  if (record.desired === 'running') {
    await keepBackedUp(record);
    if (count % roundsBetweenSlots === 0) await dropOrphanSlots(record);
  }
  await keepReplicated(record);
}

/**
 * Looks after all servers once a second until told to stop: starts what ended, receives, backs up, replicates.
 * @returns the function that ends it
 */
export function keepServers(log: Log): () => void {
  const busy = new Set<string>();
  let count = 0;
  const timer = setInterval(() => {
    count += 1;
    for (const { name } of listRecords().filter((record) => !busy.has(record.name))) {
      busy.add(name);
      round(name, count, log)
        .catch((cause: unknown) => log(`server ${name}: ${(cause as Error).message}`))
        .finally(() => busy.delete(name));
    }
    if (count % roundsBetweenPrunes === 1) pruneDropped().catch((cause: unknown) => log((cause as Error).message));
  }, roundMs);
  return () => clearInterval(timer);
}

/** Backups of deleted servers go when their retention is over. */
export async function pruneDropped(now = Date.now()): Promise<void> {
  const stores = Object.values(regionOf).flatMap((region) => Store.in(region));
  for (const store of stores) {
    const facts = store.facts();
    if (facts?.droppedAt && now - Date.parse(facts.droppedAt) > facts.retentionDays * dayMs) await store.remove();
  }
}
