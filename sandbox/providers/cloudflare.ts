/** Stand-in for the plugin `cloudflare`, over the vendor's own client. Its properties are the API's, in camel case. */
import Cloudflare, { APIConnectionError, APIError, NotFoundError } from 'cloudflare';
import { diff, follow } from './diff';
import { isRecord, isUnknown, unknown, type Plugin, type Properties, type Provider } from './plugin';

type Body = Record<string, unknown>;
type Options = { readonly signal: AbortSignal };

interface Row {
  readonly required: readonly string[];
  /** What the service fills in: known after an update only. */
  readonly computed: readonly string[];
  readonly forcesNew: readonly string[];
  /** Inputs that are part of the resource's address and of no answer. */
  readonly scope?: readonly string[];
  /** @default - the answer's id */
  readonly idOf?: (inputs: Properties) => string;
  /** @default - all inputs, in snake case */
  readonly body?: (inputs: Properties) => Body;
  create(client: Cloudflare, body: Body, options: Options): Promise<unknown>;
  get(client: Cloudflare, id: string, inputs: Properties, options: Options): Promise<unknown>;
  update(client: Cloudflare, id: string, body: Body, options: Options): Promise<unknown>;
  delete(client: Cloudflare, id: string, inputs: Properties, options: Options): Promise<unknown>;
}

const zoneOf = (inputs: Properties) => ({ zone_id: String(inputs['zoneId']) });
/** A ruleset belongs to a zone or to an account. */
const ownerOf = (inputs: Properties) =>
  inputs['zoneId'] ? zoneOf(inputs) : { account_id: String(inputs['accountId']) };

/** R2's bodies are in camel case, but for the account. */
const bucketBody = ({ accountId, ...rest }: Properties): Body => ({ account_id: accountId, ...rest });
const accountOf = ({ accountId, jurisdiction }: Properties) =>
  ({ account_id: String(accountId), ...(jurisdiction ? { jurisdiction } : {}) }) as never;

/** The rules of a bucket are put as a whole, and the answer to that is empty. */
async function putLock(client: Cloudflare, { bucketName, ...rest }: Body, options: Options): Promise<unknown> {
  await client.r2.buckets.locks.update(String(bucketName), rest as never, options);
  return { rules: rest['rules'] ?? [] };
}

const rows: Readonly<Record<string, Row>> = {
  'cloudflare:index/dnsRecord:DnsRecord': {
    required: ['zoneId', 'name', 'type', 'ttl'],
    computed: ['commentModifiedOn', 'createdOn', 'meta', 'modifiedOn', 'proxiable', 'tagsModifiedOn'],
    forcesNew: ['zoneId'],
    scope: ['zoneId'],
    create: (client, body, options) => client.dns.records.create(body as never, options),
    get: (client, id, inputs, options) => client.dns.records.get(id, zoneOf(inputs), options),
    update: (client, id, body, options) => client.dns.records.update(id, body as never, options),
    delete: (client, id, inputs, options) => client.dns.records.delete(id, zoneOf(inputs), options),
  },
  'cloudflare:index/zone:Zone': {
    required: ['account', 'name'],
    computed: [
      'activatedOn',
      'createdOn',
      'developmentMode',
      'meta',
      'modifiedOn',
      'nameServers',
      'originalNameServers',
      'owner',
      'plan',
      'status',
      'verificationKey',
    ],
    forcesNew: ['account', 'name'],
    create: (client, body, options) => client.zones.create(body as never, options),
    get: (client, id, _, options) => client.zones.get({ zone_id: id }, options),
    // Of a zone's own settings the API changes these, and each call only one.
    update: async (client, id, body, options) => {
      for (const key of ['paused', 'type', 'vanity_name_servers']) {
        if (body[key] !== undefined) await client.zones.edit({ zone_id: id, [key]: body[key] }, options);
      }
      return client.zones.get({ zone_id: id }, options);
    },
    delete: (client, id, _, options) => client.zones.delete({ zone_id: id }, options),
  },
  'cloudflare:index/ruleset:Ruleset': {
    required: ['kind', 'name', 'phase'],
    computed: ['lastUpdated', 'version'],
    forcesNew: ['accountId', 'kind', 'phase', 'zoneId'],
    create: (client, body, options) => client.rulesets.create(body as never, options),
    get: (client, id, inputs, options) => client.rulesets.get(id, ownerOf(inputs) as never, options),
    update: (client, id, body, options) => client.rulesets.update(id, body, options),
    delete: (client, id, inputs, options) => client.rulesets.delete(id, ownerOf(inputs) as never, options),
  },
  'cloudflare:index/r2Bucket:R2Bucket': {
    required: ['accountId', 'name'],
    computed: ['creationDate', 'location'],
    forcesNew: ['accountId', 'jurisdiction', 'location', 'name'],
    scope: ['accountId'],
    idOf: ({ name }) => String(name),
    body: bucketBody,
    create: (client, { location, ...body }, options) =>
      client.r2.buckets.create({ ...body, ...(location ? { locationHint: location } : {}) } as never, options),
    get: (client, id, inputs, options) => client.r2.buckets.get(id, accountOf(inputs), options),
    update: (client, id, { account_id, jurisdiction, storageClass }, options) =>
      client.r2.buckets.edit(id, { account_id, jurisdiction, storage_class: storageClass } as never, options),
    delete: (client, id, inputs, options) => client.r2.buckets.delete(id, accountOf(inputs), options),
  },
  'cloudflare:index/r2BucketLock:R2BucketLock': {
    required: ['accountId', 'bucketName'],
    computed: [],
    forcesNew: ['accountId', 'bucketName', 'jurisdiction'],
    scope: ['accountId', 'bucketName', 'jurisdiction'],
    idOf: ({ bucketName }) => String(bucketName),
    body: bucketBody,
    create: putLock,
    get: (client, id, inputs, options) => client.r2.buckets.locks.get(id, accountOf(inputs), options),
    update: (client, _, body, options) => putLock(client, body, options),
    delete: (client, id, inputs, options) =>
      client.r2.buckets.locks.update(id, { ...(accountOf(inputs) as object), rules: [] } as never, options),
  },
};

function rowOf(type: string): Row {
  const row = rows[type];
  if (!row)
    throw new Error(
      `resource type "${type}" is not in the table of the stand-in for cloudflare; known are ${Object.keys(rows).join(', ')}`,
    );
  return row;
}

/** Only plain words are names; the rest (header names, for one) are data. */
function rename(value: unknown, plain: RegExp, name: (key: string) => string): unknown {
  if (Array.isArray(value)) return value.map((item) => rename(item, plain, name));
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [plain.test(key) ? name(key) : key, rename(item, plain, name)]),
  );
}

const toWire = (value: Properties): Body =>
  rename(value, /^[a-z][a-zA-Z0-9]*$/, (key) =>
    key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
  ) as Body;
const fromWire = (value: unknown): Body =>
  rename(value, /^[a-z0-9_]+$/, (key) =>
    key.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()),
  ) as Body;

/** @returns one clear line of what the API said. */
function explain(cause: unknown): Error {
  if (cause instanceof APIConnectionError) {
    const reason = cause.cause instanceof Error ? cause.cause.message : cause.message;
    return new Error(`cloudflare: can't reach the API: ${reason}; check baseUrl (CLOUDFLARE_BASE_URL)`, { cause });
  }
  if (!(cause instanceof APIError)) return cause instanceof Error ? cause : new Error(String(cause));
  const reasons = cause.errors
    .map(({ code, message }) => `${message ?? 'no reason was given'} (${code ?? 'no code'})`)
    .join('; ');
  return new Error(`cloudflare: ${cause.status ?? ''} ${reasons || cause.message}`, { cause });
}

class CloudflareProvider implements Provider {
  constructor(private readonly client: Cloudflare) {}

  private async call<T>(request: Promise<T>): Promise<T> {
    try {
      return await request;
    } catch (cause) {
      throw explain(cause);
    }
  }

  check: Provider['check'] = async ({ type, news }) => {
    const failures = rowOf(type)
      .required.filter((key) => news[key] === undefined)
      .map((property) => ({ property, reason: `missing required property '${property}'` }));
    return { inputs: news, failures };
  };

  diff: Provider['diff'] = ({ type, oldInputs, news }) => {
    const forces = new Set(rowOf(type).forcesNew);
    return diff(oldInputs, news, (path) => forces.has(path));
  };

  preview: Provider['preview'] = ({ type, inputs }) => ({
    ...Object.fromEntries(rowOf(type).computed.map((key) => [key, unknown])),
    ...inputs,
  });

  private outputs(row: Row, answer: unknown, inputs: Properties): Body {
    const { id: _, ...outputs } = fromWire(answer);
    return {
      ...Object.fromEntries((row.scope ?? []).map((key) => [key, inputs[key]])),
      ...(inputs['zoneId'] ? { zoneId: inputs['zoneId'] } : {}),
      ...outputs,
    };
  }

  create: Provider['create'] = async ({ type, inputs, signal }) => {
    const row = rowOf(type);
    const answer = await this.call(row.create(this.client, (row.body ?? toWire)(inputs), { signal }));
    return { id: row.idOf?.(inputs) ?? String((answer as Body)['id']), outputs: this.outputs(row, answer, inputs) };
  };

  read: Provider['read'] = async ({ type, id, inputs, outputs, signal }) => {
    const row = rowOf(type);
    // An import names a zone's part as ZONE/ID.
    const [own = '', zone] = id.split('/').reverse();
    const address = inputs ?? { ...outputs, ...(zone ? { zoneId: zone } : {}) };
    try {
      const now = this.outputs(row, await row.get(this.client, own, address, { signal }), address);
      if (inputs) return { id: own, inputs: follow(inputs, outputs, now), outputs: now };
      const given = Object.entries(now).filter(([key, value]) => !row.computed.includes(key) && value !== null);
      return { id: own, inputs: Object.fromEntries(given), outputs: now };
    } catch (cause) {
      if (cause instanceof NotFoundError) return { id: '', inputs: {}, outputs: {} };
      throw explain(cause);
    }
  };

  update: Provider['update'] = async ({ type, id, inputs, signal }) => {
    const row = rowOf(type);
    const body = (row.body ?? toWire)(inputs);
    return this.outputs(row, await this.call(row.update(this.client, id, body, { signal })), inputs);
  };

  delete: Provider['delete'] = async ({ type, id, inputs, signal }) => {
    try {
      await rowOf(type).delete(this.client, id, inputs, { signal });
    } catch (cause) {
      if (!(cause instanceof NotFoundError)) throw explain(cause);
    }
  };

  invoke: Provider['invoke'] = async (token, args, signal) => {
    if (token === 'cloudflare:index/getZone:getZone') return this.call(this.zone(args, signal));
    if (token === 'cloudflare:index/getZones:getZones') {
      const results = await this.call(this.zones(args, signal));
      return { match: 'all', ...args, results };
    }
    throw new Error(
      `function "${token}" is not in the table of the stand-in for cloudflare; known are getZone and getZones`,
    );
  };

  private async zones(filter: Properties, signal: AbortSignal): Promise<Body[]> {
    const { maxItems, types: _, ...query } = filter;
    const zones: Body[] = [];
    for await (const zone of this.client.zones.list(toWire(query), { signal })) {
      if (zones.length >= Number(maxItems ?? 1_000)) break;
      zones.push(fromWire(zone));
    }
    return zones;
  }

  private async zone({ zoneId, filter }: Properties, signal: AbortSignal): Promise<Properties> {
    if (typeof zoneId === 'string')
      return { ...fromWire(await this.client.zones.get({ zone_id: zoneId }, { signal })), zoneId };
    const found = await this.zones((filter ?? {}) as Properties, signal);
    const [zone] = found;
    if (!zone || found.length > 1)
      throw new Error(`getZone: ${found.length} zones match ${JSON.stringify(filter)}; exactly one must`);
    return { ...zone, filter, zoneId: zone['id'] };
  }
}

function configure(config: Properties): CloudflareProvider {
  const apiToken = config['apiToken'] ?? process.env['CLOUDFLARE_API_TOKEN'];
  const baseURL = config['baseUrl'] ?? process.env['CLOUDFLARE_BASE_URL'];
  if (typeof apiToken !== 'string' || apiToken === '' || isUnknown(apiToken)) {
    throw new Error('cloudflare: no API token; set CLOUDFLARE_API_TOKEN or cloudflare:apiToken');
  }
  return new CloudflareProvider(
    new Cloudflare({ apiToken, ...(typeof baseURL === 'string' && baseURL ? { baseURL } : {}) }),
  );
}

export const cloudflare = { name: 'cloudflare', version: '6.22.1', configure } satisfies Plugin;
