/**
 * A stand-in for the engine, small enough to be believed: it runs a stack's program with mocks, and says what an update would
 * do with what was there before. `ignoreChanges: ['*']`, `retainOnDelete` and names are what it knows of options.
 */
import { expect } from 'chai';
import * as pulumi from '@pulumi/pulumi';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import YAML from 'yaml';
import { program } from '../../stacks/program';

export interface Registered {
  readonly type: string;
  readonly name: string;
  readonly inputs: Record<string, unknown>;
  readonly provider: string;
  readonly protect: boolean;
  readonly retainOnDelete: boolean;
  readonly ignoreChanges: readonly string[];
  /** How long its creation may take; empty: as long as the provider says. */
  readonly createTimeout: string;
  readonly custom: boolean;
  /** Name of the resource that it belongs to. */
  readonly parent: string;
  /** Names of the resources that it is made after, beside those that it takes a value from. */
  readonly dependsOn: readonly string[];
  /** Paths of inputs that are secret. */
  readonly secrets: readonly string[];
}

export interface Run {
  /** In the order in which they were registered. */
  readonly resources: readonly Registered[];
  readonly outputs: Record<string, unknown>;
  /** Names of outputs that are secret as a whole. */
  readonly secretOutputs: readonly string[];
  readonly calls: readonly string[];
  readonly warnings: readonly string[];
}

export type Config = Record<string, unknown>;
const repository = path.join(__dirname, '..', '..');

/** The Moodtalk plan, as it is committed. */
export const planOf = (stack: string): Config => {
  const file = YAML.parse(fs.readFileSync(path.join(repository, `Pulumi.${stack}.yaml`), 'utf8')) as { config: Config };
  return Object.fromEntries(Object.entries(file.config).map(([key, value]) => [key.replace('standby:', ''), value]));
};

/** As the engine hands it to a program. */
export const raw = (config: Config): Record<string, string> =>
  Object.fromEntries(
    Object.entries(config).map(([key, value]) => [
      `standby:${key}`,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]),
  );

const secretMark = '4dabf18193072939515e22adb298388d';
type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function opened(value: unknown, at: string, secrets: string[]): unknown {
  if (Array.isArray(value)) return value.map((item, index) => opened(item, `${at}[${index}]`, secrets));
  if (!isObject(value)) return value;
  if (secretMark in value) {
    secrets.push(at);
    return opened(value['value'], at, []);
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, opened(item, at ? `${at}.${key}` : key, secrets)]),
  );
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const subscription = '/subscriptions/00000000-0000-4000-8000-000000000001';
const segments: Readonly<Record<string, readonly [segment: string, nameInput: string]>> = {
  'azure-native:dbforpostgresql:Server': ['Microsoft.DBforPostgreSQL/flexibleServers', 'serverName'],
  'azure-native:sql:Server': ['Microsoft.Sql/servers', 'serverName'],
  'azure-native:network:PublicIPAddress': ['Microsoft.Network/publicIPAddresses', 'publicIpAddressName'],
  'azure-native:network:VirtualNetwork': ['Microsoft.Network/virtualNetworks', 'virtualNetworkName'],
  'azure-native:containerservice:ManagedCluster': ['Microsoft.ContainerService/managedClusters', 'resourceName'],
  'azure-native:app:ManagedEnvironment': ['Microsoft.App/managedEnvironments', 'environmentName'],
  'azure-native:app:ContainerApp': ['Microsoft.App/containerApps', 'containerAppName'],
  'azure-native:managedidentity:UserAssignedIdentity': [
    'Microsoft.ManagedIdentity/userAssignedIdentities',
    'resourceName',
  ],
};

function idOf(type: string, name: string, inputs: Json): string {
  if (type === 'azure-native:resources:ResourceGroup')
    return `${subscription}/resourceGroups/${text(inputs['resourceGroupName'])}`;
  const [segment, key] = segments[type] ?? [type, ''];
  return `${subscription}/resourceGroups/${text(inputs['resourceGroupName'])}/providers/${segment}/${text(inputs[key]) || name}`;
}

const identityOf = (name: string): Json => ({
  principalId: `principal-${name}`,
  clientId: `client-${name}`,
  tenantId: 'tenant',
});

/** What a vendor adds to what was asked for. */
function stateOf(type: string, name: string, inputs: Json): Json {
  const own = Object.entries(inputs).find(
    ([key]) => /(^n|N)ame$/.test(key) && !['resourceGroupName', 'serverName', 'accountName'].includes(key),
  );
  const server = type.endsWith(':Server') ? inputs['serverName'] : undefined;
  const account = type.endsWith(':StorageAccount') ? inputs['accountName'] : undefined;
  const group = type.endsWith(':ResourceGroup') ? inputs['resourceGroupName'] : undefined;
  const host = text(name).includes('intg') || JSON.stringify(inputs).includes('intg') ? 20 : 10;
  return {
    ...inputs,
    name: server ?? account ?? group ?? own?.[1] ?? name,
    ...(type.endsWith(':Server') ? { fullyQualifiedDomainName: `${text(server)}.postgres.database.azure.com` } : {}),
    ...(type.endsWith(':PublicIPAddress') ? { ipAddress: `203.0.${host}.${name.endsWith('egress') ? 1 : 2}` } : {}),
    ...(type.endsWith(':ManagedEnvironment') ? { defaultDomain: `sea-${host}.azurecontainerapps.io` } : {}),
    ...(type.endsWith(':UserAssignedIdentity') ? identityOf(text(inputs['resourceName'])) : {}),
    ...(account === undefined ? {} : { primaryEndpoints: { blob: `https://${text(account)}.blob.core.windows.net/` } }),
    ...(type.endsWith(':ManagedCluster')
      ? { oidcIssuerProfile: { enabled: true, issuerURL: `https://issuer/${name}/` } }
      : {}),
    ...(type.endsWith(':RandomPassword') ? { result: `result-of-${name}` } : {}),
  };
}

class Recorder implements pulumi.runtime.Mocks {
  readonly calls: string[] = [];
  constructor(private readonly references: Readonly<Record<string, unknown>>) {}

  newResource(args: pulumi.runtime.MockResourceArgs) {
    if (args.type === 'pulumi:pulumi:StackReference') {
      const stack =
        text(args.id ?? (args.inputs as Json)['name'])
          .split('/')
          .at(-1) ?? '';
      return { id: args.name, state: { name: args.name, outputs: this.references[stack] ?? {} } };
    }
    const inputs = opened(args.inputs, '', []) as Json;
    return { id: idOf(args.type, args.name, inputs), state: stateOf(args.type, args.name, inputs) };
  }

  call({ token, inputs }: pulumi.runtime.MockCallArgs) {
    const { resourceName } = inputs as { resourceName?: string };
    this.calls.push(resourceName ? `${token} ${resourceName}` : token);
    if (token === 'pulumi:pulumi:readStackOutputs') {
      const stack =
        String((inputs as Json)['name'])
          .split('/')
          .at(-1) ?? '';
      if (!(stack in this.references)) throw new Error(`stack ${stack} does not exist`);
      return { outputs: this.references[stack] };
    }
    if (token.endsWith('getZone')) return { zoneId: '0123456789abcdef0123456789abcdef' };
    return { kubeconfigs: [{ name: 'user', value: Buffer.from(`kubeconfig of ${resourceName}`).toString('base64') }] };
  }
}

interface Request {
  getType(): string;
  getName(): string;
  getObject(): { toJavaScript(): Json };
  getProvider(): string;
  getProtect(): boolean;
  getRetainondelete(): boolean;
  getIgnorechangesList(): string[];
  getCustomtimeouts(): { getCreate(): string } | undefined;
  getCustom(): boolean;
  getParent(): string;
  getDependenciesList(): string[];
}
type Register = (request: Request, callback: unknown) => Promise<void>;

/** Without an engine the runtime says a warning on the console. */
async function heard<T>(warnings: string[], work: () => Promise<T>): Promise<T> {
  const say = console.warn;
  console.warn = (line: string) => warnings.push(line.replace('warning: [runtime] ', ''));
  try {
    return await work();
  } finally {
    console.warn = say;
  }
}

/** The runtime takes a stack trace for every promise, which is most of what a program costs here. */
async function quickly<T>(work: () => Promise<T>): Promise<T> {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return await work();
  } finally {
    Error.stackTraceLimit = limit;
  }
}

/**
 * Runs what makes resources, with mocks.
 * @param references - outputs of the stacks that are read.
 * @returns everything that was registered, when all of it is there.
 * @throws what it throws.
 */
export async function record(
  stack: string,
  config: Config,
  references: Readonly<Record<string, unknown>>,
  make: () => unknown,
): Promise<Run> {
  const recorder = new Recorder(references);
  const resources: Registered[] = [];
  await pulumi.runtime.setMocks(recorder, 'standby', stack, false, 'organization');
  pulumi.runtime.setAllConfig(raw(config));
  const warnings: string[] = [];
  listen(pulumi.runtime.getMonitor() as unknown as { registerResource: Register }, resources);
  const secretOutputs: string[] = [];
  const outputs = await quickly(async () => {
    const made = await heard(warnings, async () => make());
    const known: unknown = await new Promise((resolve) =>
      (pulumi.output(made) as pulumi.Output<unknown>).apply(resolve),
    );
    for (const [name, output] of Object.entries((made ?? {}) as Json)) {
      if (pulumi.Output.isInstance(output) && (await pulumi.isSecret(output))) secretOutputs.push(name);
    }
    await pulumi.runtime.disconnect();
    return known;
  });
  return { resources, outputs: outputs as Json, secretOutputs, calls: recorder.calls, warnings };
}

/** Runs a stack's program. */
export const run = (stack: string, config: Config, references: Readonly<Record<string, unknown>> = {}): Promise<Run> =>
  record(stack, config, references, program);

const nameOf = (urn: string): string => urn.split('::').at(-1) ?? '';

/** The mocks are not told the options of a resource; the request has them. */
function listen(monitor: { registerResource: Register }, resources: Registered[]): void {
  const register = monitor.registerResource.bind(monitor);
  monitor.registerResource = async (request, callback) => {
    const secrets: string[] = [];
    const inputs = opened(request.getObject().toJavaScript(), '', secrets) as Json;
    await register(request, callback);
    resources.push({
      type: request.getType(),
      name: request.getName(),
      inputs,
      provider: request.getProvider(),
      protect: request.getProtect(),
      retainOnDelete: request.getRetainondelete(),
      ignoreChanges: request.getIgnorechangesList(),
      createTimeout: request.getCustomtimeouts()?.getCreate() ?? '',
      custom: request.getCustom(),
      parent: nameOf(request.getParent()),
      dependsOn: request.getDependenciesList().map(nameOf),
      secrets,
    });
  };
}

export type Change = 'create' | 'update' | 'delete' | 'forget';

/** What was there after the updates so far, by type and name. */
export class World {
  private state = new Map<string, Registered>();

  get resources(): readonly Registered[] {
    return [...this.state.values()];
  }

  /** @returns what the update changes, by `TYPE NAME`; what stays is not in it. */
  apply(done: Run): ReadonlyMap<string, Change> {
    const changes = new Map<string, Change>();
    const next = new Map<string, Registered>();
    for (const resource of done.resources) {
      const key = `${resource.type} ${resource.name}`;
      const before = this.state.get(key);
      const frozen = before && resource.ignoreChanges.includes('*');
      const kept = resource.ignoreChanges.filter((path) => before && path in before.inputs);
      const inputs = frozen
        ? before.inputs
        : { ...resource.inputs, ...Object.fromEntries(kept.map((path) => [path, before?.inputs[path]])) };
      next.set(key, { ...resource, inputs });
      if (!before) changes.set(key, 'create');
      else if (!isDeepStrictEqual(before.inputs, inputs)) changes.set(key, 'update');
    }
    for (const [key, before] of this.state) {
      if (!next.has(key)) changes.set(key, before.retainOnDelete || !before.custom ? 'forget' : 'delete');
    }
    this.state = next;
    return changes;
  }

  find(type: string, name: string): Registered {
    const found = this.state.get(`${type} ${name}`);
    if (!found) throw new Error(`no ${type} ${name} in ${[...this.state.keys()].join('\n')}`);
    return found;
  }
}

/** What the failover stack reads of the sites' own stacks. */
export async function sitesMade(): Promise<Readonly<Record<string, unknown>>> {
  const [prod, intg] = [await run('prod', planOf('prod')), await run('intg', planOf('intg'))];
  return { prod: prod.outputs, intg: intg.outputs };
}

/** Updates the failover stack of a world, which throws nothing away. */
export async function update(world: World, config: Config, references: Readonly<Record<string, unknown>>) {
  const last = await run('failover', config, references);
  const changes = world.apply(last);
  expect([...changes].filter(([, change]) => change === 'delete')).to.deep.equal([]);
  return { last, changes };
}
