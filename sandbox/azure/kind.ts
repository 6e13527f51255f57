/**
 * How a resource type plugs into the ARM service. A kind is mostly data: its type, api-versions, the vendor's model and a few
 * rules. The service does the rest: authentication, authorization, api-version, body validation, ids, ETags, lists, long-running
 * operations, persistence. What a kind adds is the effect behind a resource (a database process, an address, a file).
 */
import type { Site } from '../world';
import type { ResourceId } from './id';

export type { ResourceId } from './id';

/** A JSON object as it goes over the wire. */
export type Json = Record<string, unknown>;

/** A resource in wire form. `properties` never holds a write-only property (see `Kind.writeOnly`). */
export interface ArmResource {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  location?: string;
  tags?: Record<string, string>;
  etag?: string;
  sku?: Json;
  kind?: string;
  identity?: Json;
  properties: Json;
  [member: string]: unknown;
}

/** What a kind makes of a body: everything but `id`, `name` and `type`, which the service sets. */
export interface ArmContent extends Json {
  properties: Json;
}

/** An answer in the vendor's form: `{"error": {"code", "message"}}` with this HTTP status. */
export class ArmError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.name = 'ArmError';
  }
}

/** Write-only values of one resource, kept in a file of their own with mode 0600; they survive a restart and never leave the service. */
export interface Secrets {
  get(name: string): string | undefined;
  set(name: string, value: string): void;
}

export type AddressPool = 'database' | 'containerApp' | 'publicIp';

/** What a kind's functions get. It stays valid after the request, so background work may keep it. */
export interface Context {
  readonly id: ResourceId;
  /** Site whose region is the resource's location (or that of its parents, or of its resource group). @default - outside both sites */
  readonly site: Site | undefined;
  readonly secrets: Secrets;
  /** Resource by id (any casing), as it is stored: without `read`'s live state. */
  get(id: string): ArmResource | undefined;
  /** As `get`. @throws ArmError 404 in the vendor's words */
  need(id: string): ArmResource;
  /** Stored resources of a type; with `under`, only those whose id lies below that id. */
  list(type: string, under?: string): ArmResource[];
  /** Stores a changed resource (this one or another), outside of a PUT: a state that flips, a role that moves. */
  save(resource: ArmResource): void;
  /** Removes another resource that goes with this one, without `remove` of its kind. */
  discard(resource: ArmResource): void;
  /** Context of another resource, e.g. to read the secrets of the server that a replica is made from. */
  of(id: string): Context;
  /**
   * The loopback address of this resource: allocated at the first call, the same at every later one and after a restart, given
   * back when the resource is deleted. @throws ArmError 409 when the pool of the site is exhausted or the resource is in no site.
   */
  address(pool: AddressPool): string;
  /** One line to the part's log; never a secret. */
  log(line: string): void;
}

/** A rule the vendor's models do not state. `path` is in wire form, e.g. `properties.backup.backupRetentionDays`. */
export interface Rule {
  readonly path: string;
  readonly required?: boolean;
  readonly oneOf?: readonly (string | number | boolean)[];
  readonly min?: number;
  readonly max?: number;
  readonly pattern?: RegExp;
  /** May be set at creation only: another value later is refused with 400 (code `code`, default `PropertyChangeNotAllowed`). */
  readonly immutable?: boolean;
  /** The vendor's error code for a violation. @default InvalidParameterValue */
  readonly code?: string;
  /** Value that is filled in when the body has none. For a PUT on an existing resource the stored value comes first. */
  readonly initial?: unknown;
}

/** A model of one of the vendor's SDK packages; its mapper says what is required, read-only, of which type, in which range. */
export interface Model {
  /** e.g. `@azure/arm-postgresql-flexible` */
  readonly package: string;
  /** e.g. `Server` */
  readonly mapper: string;
  /** Wire paths that a newer api-version has and this package's model does not; they pass unchecked. */
  readonly allow?: readonly string[];
}

/** A DNS record that a resource brings into the vendor's public zones. */
export interface PublicName {
  /** Without trailing dot. */
  readonly name: string;
  readonly type: 'A' | 'CNAME';
  readonly data: string;
}

export interface Kind {
  /** `Microsoft.DBforPostgreSQL/flexibleServers/firewallRules`; each name belongs to one `type/name` pair of the path. */
  readonly type: string;
  /** All that are answered; others get 400 NoRegisteredProviderFound. */
  readonly apiVersions: readonly string[];
  /** Allowed names. @default - anything a path segment can hold */
  readonly name?: RegExp;
  /** Where it lives: `required` = body has `location` (immutable), `global` = `location` must be "global", `none` = a proxy resource. */
  readonly location: 'required' | 'global' | 'none';
  readonly model?: Model;
  /** Model of a PATCH body; the body is merged into the resource, then goes through `put`. @default - PATCH is answered 405 */
  readonly patchModel?: Model;
  readonly rules?: readonly Rule[];
  /** Wire paths taken out of the body into `ctx.secrets` under the same path, before `put` runs. */
  readonly writeOnly?: readonly string[];
  /** ETag header and member, If-Match and If-None-Match are honoured. */
  readonly etag?: boolean;
  /** Methods (`PUT`, `DELETE`) and actions that are refused with 400 without an If-Match header. */
  readonly ifMatch?: readonly string[];
  /** PUT, PATCH and DELETE that are refused with 405: what the vendor makes itself, what can't be deleted. */
  readonly refused?: readonly ('PUT' | 'DELETE')[];
  /** What a PUT that creates is answered with. @default 201 */
  readonly createdStatus?: 200 | 201;
  /** What is busy while it is written to: another write that holds the same is refused, 409 ServerIsBusy. @default - writes queue */
  readonly holds?: 'itself' | 'parent';
  /** Ids of resources that use this one and so block its delete (not that of its whole resource group). */
  inUseBy?(ctx: Context, resource: ArmResource): readonly string[];

  /**
   * Brings about what `body` (validated, defaults in, secrets out, read-only members dropped) asks for, and returns the content
   * to store. Must be repeatable: after a kill in the middle it is called again with the same arguments.
   * If it takes longer than about a second the service answers 201/202 with Azure-AsyncOperation, Location and Retry-After by itself.
   * @default - stores the body with `properties.provisioningState: "Succeeded"`
   */
  put?(ctx: Context, body: ArmContent, previous: ArmResource | undefined): Promise<ArmContent> | ArmContent;
  /** Adds live state to what GET, PUT and lists answer; never stored. */
  read?(ctx: Context, resource: ArmResource): Promise<ArmResource> | ArmResource;
  /** Takes away what stands behind the resource. Children were removed before. May take long, as `put`. Must be repeatable. */
  remove?(ctx: Context, resource: ArmResource): Promise<void> | void;
  /** POST …/{name}: long-running in the same way; undefined is answered 200 without a body. Names are matched in any casing. */
  readonly actions?: Readonly<Record<string, Action>>;
  /** Resources that are not stored but found live (backups, replicas). `parent` is the resource they lie below. */
  find?(ctx: Context, name: string): Promise<ArmResource | undefined> | ArmResource | undefined;
  list?(ctx: Context, parent: ArmResource): Promise<readonly ArmResource[]> | readonly ArmResource[];
  /** As `list`, for what lies below no resource but at any scope. */
  listAt?(scope: string, query: URLSearchParams): readonly ArmResource[];
  /** Which stored resources a list at `scope` shows. @default - those whose id lies below the scope */
  inList?(resource: ArmResource, scope: string, query: URLSearchParams): boolean;
  /** After a start of the service, for each stored resource: brings the process behind it back. */
  onStart?(ctx: Context, resource: ArmResource): Promise<void> | void;
  /** On SIGTERM, for each stored resource: ends the process behind it. */
  onStop?(ctx: Context, resource: ArmResource): Promise<void> | void;
  /** Names that the vendor's public DNS answers while the resource exists. */
  publicNames?(ctx: Context, resource: ArmResource): readonly PublicName[];
}

export type Action = (ctx: Context, resource: ArmResource, body: Json) => unknown;
