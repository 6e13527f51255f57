/** Reads a stack's configuration: plain values in, plain typed values out, everything that is wrong at once. Pure. */
import { z } from 'zod';
import { backupChecks } from './backup';
import { drillChecks, drillSchema, type DrillConfig } from './drill';
import { environmentChecks, environmentSchema, type EnvironmentConfig } from './environment';
import { failoverSchema, type FailoverConfig } from './failover';
import { hostsOutside, sites, type FieldNote, type Site } from './fields';
import { ConfigurationError, type Check, type Issue } from './issues';
import { validateSwitch } from './switch';

export const project = 'standby';
export const stackNames = [...sites, 'failover', 'drill'] as const;
export type StackName = (typeof stackNames)[number];

/** Configuration as the engine hands it over: `standby:key` to text, and JSON for what is no text. */
export type RawConfig = Readonly<Record<string, string | undefined>>;

/** @throws ConfigurationError with every issue. */
export function loadEnvironment(stack: Site, raw: RawConfig): EnvironmentConfig {
  return load(stack, environmentSchema, raw, environmentChecks);
}

const failoverChecks: readonly Check<FailoverConfig>[] = [
  { needs: ['zone', 'hosts'], find: ({ zone, hosts }) => hostsOutside(zone, hosts) },
  {
    needs: ['company', 'activeSite', 'database', 'identity', 'epoch', 'stage', 'prepared', 'unreachable', 'recoveries'],
    find: validateSwitch,
  },
  ...backupChecks,
];

/** @throws ConfigurationError with every issue, illegal combinations of the switch among them. */
export function loadFailover(raw: RawConfig): FailoverConfig {
  return load('failover', failoverSchema, raw, failoverChecks);
}

/** @throws ConfigurationError with every issue. */
export function loadDrill(raw: RawConfig): DrillConfig {
  return load('drill', drillSchema, raw, drillChecks);
}

function load<S extends z.ZodObject>(
  stack: StackName,
  schema: S,
  raw: RawConfig,
  checks: readonly Check<z.infer<S>>[],
): z.infer<S> {
  const values = read(schema, raw);
  const result = schema.safeParse(values);
  const wrong = result.error?.issues ?? [];
  const right = rightOnes(schema, values);
  const issues = [
    ...wrong.flatMap((issue) => explain(schema, values, issue)),
    ...checks
      .filter(({ needs }) => needs.every((key) => right.has(key as string)))
      .flatMap(({ find }) => find(Object.fromEntries(right) as z.infer<S>)),
  ];
  if (issues.length > 0 || !result.success) throw new ConfigurationError(stack, issues);
  return result.data;
}

/** @returns the keys whose values are right by themselves, with what they stand for. */
function rightOnes(schema: z.ZodObject, values: Readonly<Record<string, unknown>>): ReadonlyMap<string, unknown> {
  return new Map(
    Object.entries(schema.shape).flatMap(([key, own]): [string, unknown][] => {
      const parsedValue = (own as z.ZodType).safeParse(values[key]);
      return parsedValue.success ? [[key, parsedValue.data]] : [];
    }),
  );
}

/** Only the project's own keys; text stays text where the schema wants text, everything else is JSON. */
function read(schema: z.ZodObject, raw: RawConfig): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(raw)) {
    if (!name.startsWith(`${project}:`) || value === undefined) continue;
    const key = name.slice(project.length + 1);
    values[key] = isText(schema.shape[key] as z.ZodType | undefined) ? value : parsed(value);
  }
  return values;
}

function parsed(value: string): unknown {
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return value; // the schema refuses it, and says what it wants
  }
}

const inner = (schema: z.ZodType): z.ZodType =>
  schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional
    ? inner(schema.unwrap() as z.ZodType)
    : schema;
const isText = (schema: z.ZodType | undefined): boolean => {
  const plain = schema && inner(schema);
  return plain instanceof z.ZodString || plain instanceof z.ZodEnum;
};

function schemaAt(schema: z.ZodType, path: readonly PropertyKey[]): z.ZodType | undefined {
  return path.reduce<z.ZodType | undefined>((at, key) => {
    const plain = at && inner(at);
    if (plain instanceof z.ZodObject) return plain.shape[key as string] as z.ZodType | undefined;
    return plain instanceof z.ZodArray ? (plain.element as z.ZodType) : undefined;
  }, schema);
}

const valueAt = (value: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], value);
const nameOf = (path: readonly PropertyKey[]): string =>
  path.map((key, index) => (typeof key === 'number' ? `[${key}]` : `${index ? '.' : ''}${String(key)}`)).join('');

function explain(schema: z.ZodObject, values: unknown, issue: z.core.$ZodIssue): Issue[] {
  if (issue.code === 'unrecognized_keys') {
    const known = inner(schemaAt(schema, issue.path) as z.ZodType) as z.ZodObject;
    return issue.keys.map((key) => ({
      key: nameOf([...issue.path, key]),
      got: valueAt(values, [...issue.path, key]),
      allowed: `one of the keys ${Object.keys(known.shape).join(', ')}`,
      fix: 'there is no such key: correct its spelling or remove it',
    }));
  }
  const note = schemaAt(schema, issue.path)?.meta() as unknown as FieldNote | undefined;
  const got = valueAt(values, issue.path);
  return [
    {
      key: nameOf(issue.path),
      ...(got === undefined ? {} : { got }),
      allowed: note?.allowed ?? issue.message,
      fix: note?.fix ?? `pulumi config set --path '${project}:${nameOf(issue.path)}' VALUE`,
    },
  ];
}
