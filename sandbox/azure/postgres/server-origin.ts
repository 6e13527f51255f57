/** Where a new server's data come from, by its create mode; and what it takes over from there. */
import { regionOf } from '../../world';
import type { ArmContent, Context, Json } from '../kind';
import { localStore } from './backup';
import { minorVersion } from './programs';
import { readRecord, type ServerRecord } from './record';
import { checkAdministrator, checkPassword, part, passwordPath, refuse, serverType, text, word } from './server-rules';
import { bringUpToDate, type Origin } from './servers';
import { pairOf, Store, type StoreFacts } from './store';

export interface Beginning {
  readonly origin: Origin;
  /** sku, version, storage and login that the body left out. */
  readonly inherited: Json;
  readonly parameters: Readonly<Record<string, string>>;
}

/** @throws ArmError 400, 404, 409 in the vendor's words */
export async function beginningOf(ctx: Context, body: ArmContent): Promise<Beginning> {
  const mode = word(body.properties['createMode'] ?? 'Default');
  if (mode === 'default' || mode === 'create') return fromNothing(ctx, body);
  if (mode === 'pointintimerestore') return fromLocalBackup(ctx, body);
  if (mode === 'georestore') return fromGeoBackup(ctx, body);
  if (mode === 'replica') return asReplica(ctx, body);
  if (mode === 'update')
    throw refuse(
      'ResourceNotFound',
      `The server '${ctx.id.name}' does not exist; create mode Update changes one that does.`,
      404,
    );
  throw refuse(
    'FeatureNotSupported',
    `Create mode '${String(body.properties['createMode'])}' is not supported by this sandbox.`,
  );
}

function fromNothing(ctx: Context, body: ArmContent): Beginning {
  const password = ctx.secrets.get(passwordPath);
  checkAdministrator(body.properties['administratorLogin'], password);
  return { origin: { from: 'nothing', password: password as string }, inherited: {}, parameters: {} };
}

function sourceIdOf(body: ArmContent): string {
  const id = body.properties['sourceServerResourceId'];
  if (typeof id === 'string') return id;
  throw refuse(
    'InvalidParameterValue',
    `Create mode '${String(body.properties['createMode'])}' needs 'properties.sourceServerResourceId'.`,
  );
}

function momentOf(body: ArmContent): Date {
  const moment = body.properties['pointInTimeUTC'];
  if (typeof moment === 'string') return new Date(moment);
  throw refuse(
    'InvalidParameterValue',
    `Create mode '${String(body.properties['createMode'])}' needs 'properties.pointInTimeUTC' (ISO 8601).`,
  );
}

/** The newest store of a server among those that lie in a region. */
function storeOf(sourceId: string, region: string, wanted: (facts: StoreFacts) => boolean): Store | undefined {
  const stamp = (store: Store) => store.facts()?.replicatedAt ?? store.facts()?.createdAt ?? '';
  return Store.in(region)
    .filter((store) => {
      const facts = store.facts();
      return facts !== undefined && facts.resourceId.toLowerCase() === sourceId.toLowerCase() && wanted(facts);
    })
    .sort((a, b) => stamp(b).localeCompare(stamp(a)))[0];
}

const regionHere = (ctx: Context) => (ctx.site ? regionOf[ctx.site] : '');

async function fromLocalBackup(ctx: Context, body: ArmContent): Promise<Beginning> {
  const sourceId = sourceIdOf(body);
  const target = momentOf(body);
  const region = regionHere(ctx);
  const store = storeOf(sourceId, region, (facts) => facts.region === region);
  if (!store) {
    throw refuse(
      'SourceServerNotFound',
      `No backups of '${sourceId}' lie in ${region}. A point-in-time restore is possible in the source's own region only.`,
      404,
    );
  }
  const facts = store.facts() as StoreFacts;
  const source = readRecord(facts.name);
  const earliest = store.bases()[0]?.completedAt;
  const latest = facts.droppedAt ?? new Date().toISOString();
  if (!earliest || target < new Date(earliest) || target > new Date(latest)) {
    throw refuse(
      'InvalidRestorePointInTime',
      `The moment ${target.toISOString()} is outside the restore window of '${facts.name}': ${earliest ?? 'no backup yet'} to ${latest}.`,
    );
  }
  if (source?.resourceId.toLowerCase() === sourceId.toLowerCase()) await bringUpToDate(source);
  return restoreOf(ctx, body, store, target);
}

function fromGeoBackup(ctx: Context, body: ArmContent): Beginning {
  const sourceId = sourceIdOf(body);
  momentOf(body);
  const region = regionHere(ctx);
  const store = storeOf(sourceId, region, (facts) => facts.geoRedundant && pairOf(facts.region) === region);
  if (!store?.baseFor()) {
    throw refuse(
      'GeoBackupNotFound',
      `No geo-redundant backup of '${sourceId}' lies in ${region || 'this region'}: it must have been enabled when the server was created, ` +
        'have reached the pair at least once, and can be restored in the paired region only.',
      404,
    );
  }
  return restoreOf(ctx, body, store, undefined);
}

function restoreOf(ctx: Context, body: ArmContent, store: Store, target: Date | undefined): Beginning {
  const facts = store.facts() as StoreFacts;
  const inherited = { ...facts.shape, administratorLogin: facts.administratorLogin };
  sameLogin(body, facts.administratorLogin);
  const password = ctx.secrets.get(passwordPath);
  if (password !== undefined) checkPassword(facts.administratorLogin, password);
  const origin: Origin = {
    from: 'backup',
    store,
    ...(target ? { target } : {}),
    ...(password !== undefined ? { password } : {}),
  };
  return { origin, inherited, parameters: facts.parameters };
}

function sameLogin(body: ArmContent, login: string): void {
  const asked = text(body.properties['administratorLogin']);
  if (asked === undefined || asked === login) return;
  throw refuse(
    'InvalidParameterValue',
    `The administrator login is that of the source, '${login}'; the request has '${asked}'.`,
  );
}

function asReplica(ctx: Context, body: ArmContent): Beginning {
  const sourceId = sourceIdOf(body);
  const resource = ctx.need(sourceId);
  const source = readRecord(resource.name);
  if (resource.type.toLowerCase() !== serverType.toLowerCase() || !source) {
    throw refuse('SourceServerNotFound', `'${sourceId}' is no flexible server.`, 404);
  }
  checkSource(source, ctx.id.name);
  if (word(part(body.properties, 'backup')['geoRedundantBackup']) === 'enabled') {
    throw refuse(
      'GeoRedundantBackupNotSupportedForReplica',
      "A read replica can't have geo-redundant backup: set it to 'Disabled'.",
    );
  }
  if (word(part(resource, 'sku')['tier']) === 'burstable') {
    throw refuse(
      'ReadReplicaNotSupportedForTier',
      `'${resource.name}' is of the Burstable tier, which can't have read replicas.`,
    );
  }
  sameLogin(body, source.administratorLogin);
  const inherited = { ...shapeOf(resource), administratorLogin: source.administratorLogin };
  return { origin: { from: 'server', source }, inherited, parameters: source.parameters };
}

function checkSource(source: ServerRecord, replica: string): void {
  if (source.name === replica)
    throw refuse('InvalidParameterValue', `The server '${replica}' can't be its own source.`);
  if (source.role === 'replica') {
    throw refuse(
      'CascadingReplicaNotSupported',
      `'${source.name}' is a read replica itself; a replica is made from a primary.`,
    );
  }
  if (source.phase !== 'ready' || source.desired !== 'running') {
    throw refuse('ServerIsNotReady', `The source server '${source.name}' is not running; start it first.`, 409);
  }
}

/** What a server made from this one is like unless told otherwise. */
export function shapeOf(content: ArmContent): Json {
  const { version, storage } = content.properties;
  return { sku: content.sku, version, storage };
}

/** Properties that only the vendor sets. */
export async function vendorProperties(record: ServerRecord): Promise<Json> {
  return { fullyQualifiedDomainName: record.fqdn, minorVersion: await minorVersion(), privateEndpointConnections: [] };
}

export const earliestRestore = (record: ServerRecord): string | undefined =>
  record.role === 'primary' ? localStore(record).bases()[0]?.completedAt : undefined;
