/** `Microsoft.DBforPostgreSQL/flexibleServers`: each one a PostgreSQL cluster of its own. */
import { randomBytes } from 'node:crypto';
import { isCutOff } from '../../silence';
import { regionOf, sites } from '../../world';
import type { ArmContent, ArmResource, Context, Json, Kind } from '../kind';
import { isUp, setPassword } from './cluster';
import { readRecord, type ServerRecord } from './record';
import { replicationState, SourceUnreachable } from './replica';
import { beginningOf, earliestRestore, shapeOf, vendorProperties } from './server-origin';
import {
  apiVersions,
  checkChange,
  checkPassword,
  checkServer,
  part,
  passwordPath,
  refuse,
  serverRules,
  serverType,
  word,
} from './server-rules';
import {
  createServer,
  exclusively,
  keepServers,
  promoteServer,
  removeServer,
  startServer,
  stopServer,
  unreachable,
  update,
} from './servers';
import { pairOf } from './store';

/** Password that the server has, to tell a changed one. */
const appliedPassword = 'applied.administratorLoginPassword';

let endKeeping: (() => void) | undefined;
const keep = (ctx: Context) => (endKeeping ??= keepServers((line) => ctx.log(line)));

async function put(ctx: Context, body: ArmContent, previous: ArmResource | undefined): Promise<ArmContent> {
  keep(ctx);
  const record = previous ? await change(ctx, body, previous) : await create(ctx, body);
  ctx.secrets.set(appliedPassword, ctx.secrets.get(passwordPath) ?? '');
  const kept = { ...body.properties, ...(await vendorProperties(record)) };
  // Orders, not properties: the vendor does not show them again.
  for (const name of ['createMode', 'pointInTimeUTC', 'replica', 'replicationRole'])
    delete kept[name as keyof typeof kept];
  return { ...body, properties: kept };
}

async function create(ctx: Context, body: ArmContent): Promise<ServerRecord> {
  const known = readRecord(ctx.id.name);
  if (known && known.resourceId.toLowerCase() !== ctx.id.key) {
    throw refuse('ServerNameAlreadyExists', `Specified server name '${ctx.id.name}' is already used.`, 409);
  }
  const { origin, inherited, parameters } = await beginningOf(ctx, body);
  inherit(body, inherited);
  checkChange(body, inherited);
  await checkServer(body);
  checkPair(ctx, body);
  const record = known ?? newRecord(ctx, body, parameters);
  const source = origin.from === 'server' ? origin.source : undefined;
  if (source) Object.assign(record, { role: 'replica', source: source.name, ranges: source.ranges });
  if (record.phase === 'creating') {
    await exclusively(record.name, () => createServer(record, origin, shapeOf(body))).catch((cause: unknown) =>
      fail(cause),
    );
  }
  if (source) inheritRules(ctx, source);
  return record;
}

/** Backups in two regions take storage in both: a server made while the pair is down has them in its own alone. */
function checkPair(ctx: Context, body: ArmContent): void {
  const pair = sites.find((site) => ctx.site && regionOf[site] === pairOf(regionOf[ctx.site]));
  if (!pair || !isCutOff(pair) || word(part(body.properties, 'backup')['geoRedundantBackup']) !== 'enabled') return;
  throw refuse(
    'GeoRedundantBackupNotAvailable',
    `No geo-redundant storage can be provisioned while '${regionOf[pair]}' is down: set geoRedundantBackup to 'Disabled'.`,
    409,
  );
}

function newRecord(ctx: Context, body: ArmContent, parameters: ServerRecord['parameters']): ServerRecord {
  const { properties } = body;
  const backup = part(properties, 'backup');
  if (!ctx.site) ctx.address('database'); // says which regions there are
  return {
    name: ctx.id.name,
    resourceId: ctx.id.id,
    site: ctx.site as NonNullable<Context['site']>,
    address: ctx.address('database'),
    fqdn: `${ctx.id.name}.postgres.database.azure.com`,
    administratorLogin: String(properties['administratorLogin']),
    incarnation: randomBytes(4).toString('hex'),
    phase: 'creating',
    desired: 'running',
    role: 'primary',
    retentionDays: Number(backup['backupRetentionDays']),
    geoRedundant: word(backup['geoRedundantBackup']) === 'enabled',
    ranges: [],
    parameters,
  };
}

/** A replica lets in whom its source does, by rules of its own from then on. */
function inheritRules(ctx: Context, { resourceId }: ServerRecord): void {
  for (const rule of ctx.list(`${serverType}/firewallRules`, resourceId))
    ctx.save({ ...rule, id: `${ctx.id.id}/firewallRules/${rule.name}` });
}

/** Fills in what the body leaves open from what the server is made from. */
function inherit(body: ArmContent, inherited: Json): void {
  const { sku, ...properties } = inherited;
  if (sku !== undefined) body.sku ??= sku as Json;
  for (const [name, value] of Object.entries(properties)) body.properties[name] ??= value;
  const storage = part(body.properties, 'storage');
  body.properties['storage'] = { ...part(inherited, 'storage'), ...storage };
}

function fail(cause: unknown): never {
  if (cause instanceof SourceUnreachable) throw refuse('SourceServerUnreachable', `${cause.message}.`, 409);
  throw cause;
}

async function change(ctx: Context, body: ArmContent, previous: ArmResource): Promise<ServerRecord> {
  inherit(body, { ...shapeOf(previous), administratorLogin: previous.properties['administratorLogin'] });
  checkChange(body, previous.properties);
  await checkServer(body);
  const record = need(ctx);
  await exclusively(record.name, async () => {
    record.retentionDays = Number(part(body.properties, 'backup')['backupRetentionDays']);
    update(record, shapeOf(body));
    await changePassword(ctx, record);
    await changeRole(record, body);
  });
  return record;
}

async function changePassword(ctx: Context, record: ServerRecord): Promise<void> {
  const password = ctx.secrets.get(passwordPath);
  if (password === undefined || password === ctx.secrets.get(appliedPassword)) return;
  if (record.role === 'replica')
    throw refuse('OperationNotAllowedOnReplica', "A read replica has its source's password; change it there.");
  checkPassword(record.administratorLogin, password);
  await setPassword(record, password);
}

/** Promotion: the only change of role there is. */
async function changeRole(record: ServerRecord, body: ArmContent): Promise<void> {
  const { role, promoteMode, promoteOption } = part(body.properties, 'replica');
  if (word(role) !== 'none' || record.role === 'primary') {
    if (/replica$/.test(word(role)) && record.role === 'primary') {
      throw refuse('InvalidReplicationRole', `'${record.name}' is a primary; it can't be made a replica again.`);
    }
    return;
  }
  if (word(promoteMode) !== 'standalone') {
    throw word(promoteMode) === 'switchover'
      ? refuse(
          'VirtualEndpointNotFound',
          `A switchover needs a ReadWrite virtual endpoint over both servers; '${record.name}' has none. Use promoteMode 'Standalone'.`,
        )
      : refuse(
          'InvalidParameterValue',
          "To promote a replica set replica.promoteMode ('Standalone') and replica.promoteOption ('Planned' or 'Forced').",
        );
  }
  const option = word(promoteOption ?? 'Planned') === 'forced' ? 'forced' : 'planned';
  await promoteServer(record, option, shapeOf(body)).catch((cause: unknown) => fail(cause));
}

/** What lies below a server that was never whole goes with it. */
export const isReady = (ctx: Pick<Context, 'id'>) => readRecord(ctx.id.names[0] as string)?.phase === 'ready';

/** @throws ArmError 409 while the server is being made */
export function need(ctx: Pick<Context, 'id'>): ServerRecord {
  const name = ctx.id.names[0] as string;
  const record = readRecord(name);
  if (record?.phase !== 'ready') throw refuse('ServerIsNotReady', `The server '${name}' is being made.`, 409);
  return record;
}

function replicasOf(ctx: Context, resource: ArmResource): ArmResource[] {
  return ctx.list(serverType).filter((other) => {
    const record = readRecord(other.name);
    return record?.role === 'replica' && record.source === resource.name;
  });
}

export async function read(ctx: Context, resource: ArmResource): Promise<ArmResource> {
  const record = readRecord(resource.name);
  if (!record) return { ...resource, properties: { ...resource.properties, state: 'Dropping' } };
  const state = record.desired === 'stopped' ? 'Stopped' : isUp(record) ? 'Ready' : 'Inaccessible';
  const role =
    record.role === 'replica' ? replicaRole(record) : replicasOf(ctx, resource).length > 0 ? 'Primary' : 'None';
  const capacity = record.role === 'replica' ? 0 : 5;
  const live = record.role === 'replica' && state === 'Ready' && !unreachable(record);
  const following = live ? { replicationState: await replicationState(record).catch(() => 'Broken') } : {};
  const earliestRestoreDate = earliestRestore(record);
  const { properties } = resource;
  return {
    ...resource,
    properties: {
      ...properties,
      state,
      replicationRole: role,
      replicaCapacity: capacity,
      replica: { role, capacity, ...following },
      highAvailability: { ...part(properties, 'highAvailability'), state: 'NotEnabled' },
      backup: { ...part(properties, 'backup'), ...(earliestRestoreDate ? { earliestRestoreDate } : {}) },
    },
  };
}

const replicaRole = (record: ServerRecord) =>
  readRecord(record.source ?? '')?.site === record.site ? 'AsyncReplica' : 'GeoAsyncReplica';

/** Sets whether the server is to run, then makes it so. */
async function run(ctx: Context, desired: ServerRecord['desired']): Promise<void> {
  const record = need(ctx);
  await exclusively(record.name, async () => {
    record.desired = desired;
    update(record);
    await (desired === 'running' ? startServer(record) : stopServer(record));
  });
}

async function restart(ctx: Context): Promise<void> {
  const record = need(ctx);
  if (record.desired === 'stopped')
    throw refuse('ServerIsStopped', `The server '${record.name}' is stopped; start it instead.`, 409);
  await exclusively(record.name, async () => {
    await stopServer(record);
    await startServer(record);
  });
}

async function onStart(ctx: Context): Promise<void> {
  keep(ctx);
  const record = readRecord(ctx.id.name);
  // A silent region looks after itself when it is back: the keeping round finds what does not run.
  if (record?.phase !== 'ready' || record.desired !== 'running' || unreachable(record)) return;
  await exclusively(record.name, () => startServer(record));
}

async function onStop(ctx: Context): Promise<void> {
  endKeeping?.();
  const record = readRecord(ctx.id.name);
  if (record) await stopServer(record, 3_000);
}

export const server: Kind = {
  type: serverType,
  apiVersions,
  name: /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/,
  location: 'required',
  holds: 'itself',
  model: { package: '@azure/arm-postgresql-flexible', mapper: 'Server' },
  patchModel: { package: '@azure/arm-postgresql-flexible', mapper: 'ServerForPatch' },
  rules: serverRules,
  writeOnly: [passwordPath],
  put,
  read,
  inUseBy: (ctx, resource) => replicasOf(ctx, resource).map((replica) => replica.id),
  remove: async (ctx) => {
    const record = readRecord(ctx.id.name);
    if (record) await exclusively(record.name, () => removeServer(record));
  },
  actions: {
    start: (ctx) => run(ctx, 'running'),
    stop: (ctx) => run(ctx, 'stopped'),
    restart,
  },
  onStart,
  onStop,
  publicNames: (_ctx, resource) => {
    const record = readRecord(resource.name);
    return record ? [{ name: record.fqdn, type: 'A', data: record.address }] : [];
  },
};

/** `…/replicas`: the servers that follow this one. */
export const replicas: Kind = {
  type: `${serverType}/replicas`,
  apiVersions,
  location: 'none',
  refused: ['PUT', 'DELETE'],
  list: (ctx, parent) => Promise.all(replicasOf(ctx, parent).map((replica) => read(ctx, replica))),
};
