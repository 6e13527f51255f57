/** Stand-in for the plugin `azure-native`: a program's resources as requests to Azure Resource Manager (azure-native/table.ts). */
import { isDeepStrictEqual } from 'node:util';
import { ArmClient, OperationFailed, type Settings } from './azure-native/client';
import { fromBody, inputsOf, missing, preview, toBody, type Model } from './azure-native/convert';
import { propertiesOf, composite } from './azure-native/models';
import { functions, resources, type Row } from './azure-native/table';
import { diff, follow } from './diff';
import { nameFor } from './naming';
import {
  InitFailed,
  isUnknown,
  Secret,
  text,
  unknown,
  type CheckCall,
  type Failure,
  type Plugin,
  type Properties,
  type Provider,
} from './plugin';
import { within } from '../within';

/** In the inputs of a resource that got a name which can't collide: its successor may be made before it goes. */
const createBeforeDelete = '__createBeforeDelete';
const defaultTimeoutMs = 2 * 3_600_000;
const readAfterFailureMs = 10_000;

/** `azure-native:network:Subnet` and `azure-native:network/v20240501:Subnet`: the token may name the api-version. */
function parse(token: string): { key: string; version?: string } {
  const [, module = '', name = ''] = token.split(':');
  const [service = '', version] = module.split('/');
  const date = version?.match(/^v(\d{4})(\d{2})(\d{2})(\w*)$/);
  return {
    key: `${service}:${name}`,
    ...(date ? { version: [...date.slice(1, 4), date[4]].filter(Boolean).join('-') } : {}),
  };
}

function find<T extends { version: string }>(rows: Readonly<Record<string, T>>, token: string, kind: string): T {
  const { key, version } = parse(token);
  const row = rows[key];
  if (!row)
    throw new Error(
      `${kind} "${token}" is not in the table of the stand-in for azure-native; known are ${Object.keys(rows).join(', ')}`,
    );
  return version ? { ...row, version } : row;
}

const rowOf = (type: string): Row => find(resources, type, 'resource type');
const requestOf = (row: Row): Model => ({ service: row.service, name: row.body });
const answerOf = (row: Row): Model => ({ service: row.service, name: row.answer ?? row.body });
const parametersOf = (path: string) =>
  [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '').filter((name) => name !== 'subscriptionId');
const segment = (name: string, value: unknown) =>
  ['scope', 'resourceUri'].includes(name) ? String(value).replace(/^\/+/, '') : encodeURIComponent(String(value));
const region = (value: unknown) => (typeof value === 'string' ? value.toLowerCase().replaceAll(' ', '') : value);

function takesLocation(row: Row): boolean {
  const property = propertiesOf(composite(row.service, row.body, {})).find(({ name }) => name === 'location');
  return property !== undefined && !property.mapper.readOnly;
}

class AzureProvider implements Provider {
  private readonly locations = new Map<string, string>();

  constructor(
    private readonly client: ArmClient,
    private readonly location: string | undefined,
  ) {}

  private pathOf(template: string, inputs: Properties): string {
    return template.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
      segment(name, name === 'subscriptionId' ? this.client.settings.subscriptionId : inputs[name]),
    );
  }

  check: Provider['check'] = async (call) => {
    const row = rowOf(call.type);
    const inputs: Record<string, unknown> = { ...call.news };
    this.chooseName(row, call, inputs);
    if (takesLocation(row) && inputs['location'] === undefined) {
      const location = await this.defaultLocation(row, call, inputs);
      if (location !== undefined) inputs['location'] = location;
    }
    inputs['azureApiVersion'] ??= row.version;
    const absent = parametersOf(row.path)
      .filter((name) => inputs[name] === undefined)
      .map((property): Failure => ({ property, reason: `missing required property '${property}'` }));
    return { inputs, failures: [...absent, ...missing(requestOf(row), inputs)] };
  };

  private chooseName(row: Row, call: CheckCall, inputs: Record<string, unknown>): void {
    const key = parametersOf(row.path).at(-1) ?? '';
    if (inputs[key] !== undefined) return;
    if (call.olds[key] !== undefined) {
      inputs[key] = call.olds[key];
      if (call.olds[createBeforeDelete] !== undefined) inputs[createBeforeDelete] = call.olds[createBeforeDelete];
      return;
    }
    if (row.onlyName) {
      inputs[key] = row.onlyName;
      return;
    }
    const topLevel = /\/providers\/[\w.]+\/\w+\/\{\w+\}$/.test(row.path);
    const chosen = nameFor(call, row.autoname ?? (topLevel ? 'random' : 'copy'));
    if (!chosen) return;
    inputs[key] = chosen.name;
    if (chosen.unique) inputs[createBeforeDelete] = true;
  }

  /** The region of the resource group, unless the project sets one. */
  private async defaultLocation(row: Row, call: CheckCall, inputs: Properties): Promise<unknown> {
    if (call.olds['location'] !== undefined) return call.olds['location'];
    if (this.location) return this.location;
    const group = inputs['resourceGroupName'];
    if (typeof group !== 'string' || row === resources['resources:ResourceGroup']) return undefined;
    if (isUnknown(group)) return unknown;
    const known = this.locations.get(group);
    if (known) return known;
    const { path, version } = find(resources, 'azure-native:resources:ResourceGroup', 'resource type');
    const location = (await this.client.find(this.pathOf(path, inputs), version, call.signal))?.['location'];
    if (typeof location === 'string') this.locations.set(group, location);
    return location;
  }

  diff: Provider['diff'] = ({ type, oldInputs, oldOutputs, news }) => {
    const row = rowOf(type);
    const forces = new Set([...parametersOf(row.path), 'location', ...(row.forcesNew ?? [])]);
    const sameRegion = region(oldInputs['location']) === region(news['location']) && news['location'] !== undefined;
    const before = sameRegion ? { ...oldInputs, location: news['location'] } : oldInputs;
    const found = diff(before, news, (path) => forces.has(path), oldInputs[createBeforeDelete] !== true);
    // A program that now says what the service chose before changes nothing that exists.
    const said = (path: string) =>
      oldInputs[path] === undefined && news[path] !== undefined && isDeepStrictEqual(news[path], oldOutputs[path]);
    const changes = new Map(
      [...found.changes].map(([path, change]) => [path, said(path) ? { ...change, replace: false } : change]),
    );
    return {
      changes,
      deleteBeforeReplace: found.deleteBeforeReplace && [...changes.values()].some(({ replace }) => replace),
    };
  };

  preview: Provider['preview'] = ({ type, inputs, oldOutputs }) => {
    const row = rowOf(type);
    const outputs: Record<string, unknown> = { ...preview(answerOf(row), inputs), azureApiVersion: row.version };
    for (const name of ['name', 'location', 'type'])
      if (oldOutputs?.[name] !== undefined) outputs[name] = oldOutputs[name];
    delete outputs['id'];
    return outputs;
  };

  create: Provider['create'] = async ({ type, inputs, signal, timeoutMs }) => {
    const row = rowOf(type);
    const path = this.pathOf(row.path, inputs);
    const limit = within(timeoutMs ?? defaultTimeoutMs, signal);
    if (!row.always && (await this.find(row, path, limit))) {
      throw new Error(
        `cannot create already existing resource '${path}': import it with \`pulumi import ${type} NAME '${path}'\``,
      );
    }
    const outputs = await this.put(row, path, toBody(requestOf(row), this.bodyInputs(row, inputs)), inputs, limit);
    return { id: path, outputs };
  };

  update: Provider['update'] = async ({ type, id, inputs, signal, timeoutMs }) => {
    const row = rowOf(type);
    const limit = within(timeoutMs ?? defaultTimeoutMs, signal);
    const kept = (row.keeps ?? []).filter((name) => inputs[name] === undefined);
    const there = kept.length || row.matches ? await this.find(row, id, limit) : undefined;
    const body = toBody(requestOf(row), {
      ...this.bodyInputs(row, inputs),
      ...pick(there ? fromBody(answerOf(row), there) : {}, kept),
    });
    return this.put(row, id, body, inputs, limit, there);
  };

  /** @returns the body of what is there, or undefined. */
  private async find(row: Row, path: string, signal: AbortSignal): Promise<Record<string, unknown> | undefined> {
    const body = await this.client.find(path, row.version, signal);
    const none = Object.entries(row.noneIf ?? {});
    const outputs = body && none.length ? fromBody(answerOf(row), body) : {};
    return none.length && none.every(([key, value]) => outputs[key] === value) ? undefined : body;
  }

  private bodyInputs(row: Row, inputs: Properties): Properties {
    const inPath = new Set(parametersOf(row.path));
    return Object.fromEntries(
      Object.entries(inputs).filter(
        ([key]) => !inPath.has(key) && key !== 'azureApiVersion' && key !== createBeforeDelete,
      ),
    );
  }

  /** @throws InitFailed when Azure took the request and then failed: what is there then is kept in the state. */
  private async put(
    row: Row,
    path: string,
    body: unknown,
    inputs: Properties,
    signal: AbortSignal,
    there?: Properties,
  ): Promise<Properties> {
    const headers = row.matches && there?.['etag'] ? { 'if-match': text(there['etag']) } : undefined;
    try {
      await this.client.change('PUT', path, row.version, signal, body, headers);
    } catch (cause) {
      if (!(cause instanceof OperationFailed)) throw cause;
      const left = await this.client
        .find(path, row.version, AbortSignal.timeout(readAfterFailureMs))
        .catch(() => undefined);
      throw new InitFailed(path, left ? outputsOf(row, left) : inputs, [cause.message]);
    }
    const { body: now } = await this.client.request('GET', path, row.version, signal);
    return outputsOf(row, now);
  }

  read: Provider['read'] = async ({ type, id, inputs, outputs, signal }) => {
    const row = rowOf(type);
    const body = await this.find(row, id, signal);
    if (!body) return { id: '', inputs: {}, outputs: {} };
    const now = outputsOf(row, body);
    if (inputs) return { id, inputs: follow(inputs, outputs, now), outputs: now };
    return {
      id,
      inputs: { ...inputsOf(requestOf(row), now), ...parametersIn(row.path, id), azureApiVersion: row.version },
      outputs: now,
    };
  };

  delete: Provider['delete'] = async ({ type, id, signal, timeoutMs }) => {
    const row = rowOf(type);
    const limit = within(timeoutMs ?? defaultTimeoutMs, signal);
    if (row.always) return this.reset(row, id, limit);
    const there = row.matches ? await this.find(row, id, limit) : {};
    if (!there) return;
    const headers = row.matches ? { 'if-match': text(there['etag']) } : undefined;
    try {
      await this.client.change('DELETE', id, row.version, limit, undefined, headers);
    } catch (cause) {
      if (await this.find(row, id, limit)) throw cause;
    }
  };

  /** A server parameter goes back to its default; other settings that always exist stay as they are. */
  private async reset(row: Row, id: string, signal: AbortSignal): Promise<void> {
    const there =
      row === resources['dbforpostgresql:Configuration'] ? await this.client.find(id, row.version, signal) : undefined;
    if (!there) return;
    const { defaultValue } = fromBody(answerOf(row), there);
    await this.client.change(
      'PUT',
      id,
      row.version,
      signal,
      toBody(requestOf(row), { value: defaultValue, source: 'system-default' }),
    );
  }

  invoke: Provider['invoke'] = async (token, args, signal) => {
    if (token === 'azure-native:authorization:getClientConfig') return this.client.whoAmI();
    const row = find(functions, token, 'function');
    const { body } = await this.client.request(row.method, this.pathOf(row.path, args), row.version, signal);
    const answer = fromBody({ service: row.service, name: row.answer }, body);
    if (row.secret) return Object.fromEntries(Object.entries(answer).map(([key, value]) => [key, new Secret(value)]));
    return { ...answer, ...(row.method === 'GET' ? { azureApiVersion: row.version } : {}) };
  };
}

const pick = (from: Properties, keys: readonly string[]): Properties =>
  Object.fromEntries(keys.flatMap((key) => (from[key] === undefined ? [] : [[key, from[key]]])));

function outputsOf(row: Row, body: Record<string, unknown>): Properties {
  const { id: _, ...outputs } = fromBody(answerOf(row), body);
  return { ...outputs, azureApiVersion: row.version };
}

/** The inputs that a resource's id holds. @throws Error when it is not an id of this type. */
function parametersIn(template: string, id: string): Properties {
  const names = [...template.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '');
  const pattern = template
    .replaceAll('.', '\\.')
    .replaceAll(/\{(\w+)\}/g, (_, name: string) => (segment(name, 'a/b').includes('/') ? '(.+)' : '([^/]+)'));
  const match = new RegExp(`^${pattern}$`, 'i').exec(id);
  if (!match) throw new Error(`"${id}" is not an id of the form ${template}`);
  return Object.fromEntries(
    names.flatMap((name, i) => (name === 'subscriptionId' ? [] : [[name, decodeURIComponent(match[i + 1] ?? '')]])),
  );
}

function settingsOf(config: Properties): Settings {
  const value = (key: string, variable: string) => text(config[key] ?? process.env[variable]);
  const required = (key: string, variable: string) => {
    const got = value(key, variable);
    if (!got) throw new Error(`azure-native: no ${key}; set ${variable} or azure-native:${key}`);
    return got;
  };
  const metadataHost = value('metadataHost', 'ARM_METADATA_HOSTNAME');
  return {
    subscriptionId: required('subscriptionId', 'ARM_SUBSCRIPTION_ID'),
    tenantId: required('tenantId', 'ARM_TENANT_ID'),
    clientId: required('clientId', 'ARM_CLIENT_ID'),
    clientSecret: required('clientSecret', 'ARM_CLIENT_SECRET'),
    disableInstanceDiscovery: value('disableInstanceDiscovery', 'ARM_DISABLE_INSTANCE_DISCOVERY') === 'true',
    ...(metadataHost ? { metadataHost } : {}),
  };
}

export const azureNative = {
  name: 'azure-native',
  version: '3.28.0',
  configure: (config) =>
    new AzureProvider(
      new ArmClient(settingsOf(config)),
      typeof config['location'] === 'string' ? config['location'] : undefined,
    ),
} satisfies Plugin;
