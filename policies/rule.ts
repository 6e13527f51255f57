/**
 * What a policy is here: data and a pure function over one resource. The same constants run inside the engine (pack.ts) and
 * over an exported state (state.ts), so a green pipeline and a green `pulumi up` mean the same.
 */
import type { PolicyConfigSchema } from '@pulumi/policy';

export type Props = Readonly<Record<string, unknown>>;

export interface Resource {
  readonly urn: string;
  /** Pulumi's type token: `azure-native:storage:StorageAccount`. */
  readonly type: string;
  /** Pulumi's logical name, the last part of the URN. */
  readonly name: string;
  /** Inputs; for a rule of scope `stack` also what the resource answered (outputs). */
  readonly props: Props;
  readonly protect: boolean;
  /** Per property: the URNs of the resources that it takes its value from. */
  readonly dependencies: Readonly<Record<string, readonly string[]>>;
}

export interface Stack {
  readonly name: string;
  readonly resources: readonly Resource[];
}

export interface Violation {
  /** Path inside the resource: `backup.backupRetentionDays`. */
  readonly property: string;
  /** The value found; `undefined` when it is not set. Never a secret. */
  readonly value: unknown;
  /** What is allowed, and where it is not obvious, how to get there. */
  readonly limit: string;
}

/** A setting's JSON Schema; `description` completes the sentence "allowed is …". */
export type Setting = Exclude<PolicyConfigSchema['properties'][string], boolean> & { readonly description: string };

export interface Rule<Settings extends object = Props> {
  readonly name: string;
  readonly description: string;
  /** Clauses of the standards that it serves. The plan's own clause is the setting `clause` of the profile. */
  readonly standard: string;
  /** @default - mandatory */
  readonly level?: 'advisory';
  /**
   * `resource`: judged alone, before the engine touches it. `stack`: judged together with all others, which the engine does at
   * the end of a preview (in time to refuse) and of an update (after the act).
   */
  readonly scope: 'resource' | 'stack';
  /** Type tokens that it looks at. */
  readonly types: readonly string[] | 'all';
  readonly settings: { readonly [Key in keyof Settings]: Setting };
  check(resource: Resource, settings: Settings, stack: Stack): Iterable<Violation>;
}

/** Types a rule's settings by its `settings`, then hides the type so that rules of all kinds fit into one list. */
export const defineRule = <Settings extends object = Props>(rule: Rule<Settings>): Rule => rule as unknown as Rule;

/** The value is not known yet (preview) or can't be read (a secret of an encrypted state): neither green nor red. */
export class UnknownValue extends Error {
  constructor(readonly property: string) {
    super(`${property} is not known yet`);
  }
}

/** Also recognizes the error that @pulumi/policy raises when a policy touches a value that a preview does not know. */
export const isUnknownValue = (error: unknown): error is Error =>
  error instanceof UnknownValue || (error instanceof Error && 'unknownTypeSentinel' in error);

const secretSignature = '4dabf18193072939515e22adb298388d';
/** What the engine writes for values that are not known yet: strings, numbers, booleans, lists, objects, assets, archives. */
const unknownValues = new Set<unknown>([
  '04da6b54-80e4-46f7-96ec-b56ff0331ba9',
  '3eeb2bf0-c639-47a8-9e75-3b44932eb421',
  '1c4a061d-8072-4f0a-a4cb-0ff528b18fe7',
  '6a19a0b0-7e62-4c92-b797-7f8e31da9cc2',
  'dd056dcd-154b-4c76-9bd3-c8f88648b5ff',
  '030794c1-ac77-496b-92df-f27374a8bd58',
  'e48ece36-62e2-4504-bad9-02848725956a',
]);

const paths = new Map<string, readonly string[]>();
function keysOf(path: string): readonly string[] {
  const known = paths.get(path);
  if (known) return known;
  const keys = path.split('.');
  paths.set(path, keys);
  return keys;
}

/** A secret as an export with --show-secrets writes it. @throws UnknownValue for one that is still encrypted. */
function decrypted(secret: object, path: string): unknown {
  const plaintext = (secret as Props)['plaintext'];
  if (typeof plaintext !== 'string') throw new UnknownValue(path);
  return JSON.parse(plaintext);
}

/**
 * @param path property names joined by dots.
 * @returns the value, `undefined` when it or anything on the way to it is not set.
 * @throws UnknownValue when it is not known.
 */
export function read(props: unknown, path: string): unknown {
  let value = props;
  for (const key of keysOf(path)) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Props)[key];
    if (typeof value === 'string') {
      if (value.length === 36 && unknownValues.has(value)) throw new UnknownValue(path);
    } else if (typeof value === 'object' && value !== null && secretSignature in value) value = decrypted(value, path);
  }
  return value ?? undefined;
}

export const readList = (props: unknown, path: string): readonly unknown[] => {
  const value = read(props, path);
  return Array.isArray(value) ? value : [];
};

/** A plain value as text; '' for what is not set or has parts. */
export const text = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? `${value}` : '';

/** For comparing what vendors answer in a case or spelling of their own. */
export const readLower = (props: unknown, path: string): string => text(read(props, path)).toLowerCase();

const indexes = new WeakMap<Stack, ReadonlyMap<string, readonly Resource[]>>();

/** URN → the resources that take a property from it. Made once for a stack: large stacks are passed through once. */
function dependents(stack: Stack): ReadonlyMap<string, readonly Resource[]> {
  const made = indexes.get(stack);
  if (made) return made;
  const index = new Map<string, Resource[]>();
  for (const resource of stack.resources) {
    for (const urn of new Set(Object.values(resource.dependencies).flat())) {
      const known = index.get(urn);
      if (known) known.push(resource);
      else index.set(urn, [resource]);
    }
  }
  indexes.set(stack, index);
  return index;
}

/** The other resources of the stack, of these types, that take one of their properties from this one. */
export const dependentsOf = (resource: Resource, stack: Stack, types: readonly string[]): readonly Resource[] =>
  (dependents(stack).get(resource.urn) ?? []).filter((other) => types.includes(other.type));

/** One line: resource, property, value, limit, and whom it serves. */
export function describe(rule: Rule, resource: Resource, violation: Violation, clause: string): string {
  const value = violation.value === undefined ? 'not set' : JSON.stringify(violation.value);
  const serves = [clause, rule.standard].filter(Boolean).join('; ');
  return `${resource.name} (${resource.type}): ${violation.property} is ${value}; allowed is ${violation.limit}. Serves ${serves}.`;
}

const types = new WeakMap<readonly Resource[], Map<string, readonly Resource[]>>();

/** The resources of one type; found once for a stack. */
export function ofType(resources: readonly Resource[], type: string): readonly Resource[] {
  const index = types.get(resources) ?? new Map<string, readonly Resource[]>();
  types.set(resources, index);
  const found = index.get(type) ?? resources.filter((resource) => resource.type === type);
  index.set(type, found);
  return found;
}
