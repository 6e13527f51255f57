/** Request bodies are checked against the models of the vendor's own SDK packages: types, required, ranges, unknown members. */
import type { CompositeMapper, Mapper } from '@azure/core-client';
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import * as path from 'node:path';
import { repository } from '../world';
import { ArmError, type Json, type Model } from './kind';

type Mappers = Readonly<Record<string, CompositeMapper | undefined>> & {
  readonly discriminators?: Readonly<Record<string, CompositeMapper | undefined>>;
};

const load = createRequire(path.join(repository, 'package.json'));
const loaded = new Map<string, Mappers>();

/** The packages hide this file behind `exports` (or do not export it): it is loaded by its path. */
function mappersOf(name: string): Mappers {
  const known = loaded.get(name);
  if (known) return known;
  const folder = path.join(repository, 'node_modules', name);
  const candidates = ['dist/commonjs/models/mappers.js', 'dist-esm/src/models/mappers.js'];
  const file = candidates.map((each) => path.join(folder, each)).find((each) => fs.existsSync(each));
  if (!file)
    throw new Error(`${name} ships no mappers (looked for ${candidates.join(', ')}); use the version in package.json`);
  const mappers = load(file) as Mappers;
  loaded.set(name, mappers);
  return mappers;
}

/** The wire form's tree: the models flatten `properties.backup.x` into one name with dots. */
interface Node {
  mapper?: Mapper;
  readonly children: Map<string, Node>;
}

interface Walk {
  readonly mappers: Mappers;
  readonly allow: ReadonlySet<string>;
  readonly issues: string[];
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function treeOf(walk: Walk, mapper: CompositeMapper): Node {
  const root: Node = { children: new Map() };
  for (const property of Object.values(composite(walk, mapper).type.modelProperties ?? {})) {
    const segments = (property.serializedName ?? '').split(/(?<!\\)\./).map((each) => each.replaceAll('\\.', '.'));
    let node = root;
    for (const segment of segments) {
      const next = node.children.get(segment) ?? { children: new Map() };
      node.children.set(segment, next);
      node = next;
    }
    node.mapper = property;
  }
  return root;
}

/** A property names its class; the class itself has the properties. */
function composite(walk: Walk, mapper: CompositeMapper): CompositeMapper {
  if (mapper.type.modelProperties) return mapper;
  return (mapper.type.className ? walk.mappers[mapper.type.className] : undefined) ?? mapper;
}

/** The class that the discriminator in the value (`odata.type`, `kind`) asks for. */
function concrete(walk: Walk, mapper: CompositeMapper, value: Json): CompositeMapper {
  const base = composite(walk, mapper);
  const discriminator = base.type.polymorphicDiscriminator;
  if (!discriminator) return base;
  const asked = value[discriminator.serializedName.replaceAll('\\.', '.')];
  const parent = base.type.uberParent ?? base.type.className;
  return walk.mappers.discriminators?.[`${parent}.${String(asked)}`] ?? base;
}

function walkObject(walk: Walk, mapper: CompositeMapper, value: unknown, at: string): unknown {
  if (!isObject(value)) return mistyped(walk, at, 'an object', value);
  const found = concrete(walk, mapper, value);
  if (!found.type.modelProperties) return value;
  return walkNode(walk, treeOf(walk, found), value, at, found);
}

function walkNode(walk: Walk, node: Node, value: Json, at: string, owner: CompositeMapper): Json {
  const result: Json = {};
  for (const [name, member] of Object.entries(value)) {
    const where = at ? `${at}.${name}` : name;
    const child = node.children.get(name);
    if (member === null || member === undefined || child?.mapper?.readOnly) continue;
    if (child?.mapper) result[name] = walkValue(walk, child.mapper, member, where);
    else if (child && isObject(member)) result[name] = walkNode(walk, child, member, where, owner);
    else if (owner.type.additionalProperties || walk.allow.has(where.replace(/\[\d+\]/g, '[]'))) result[name] = member;
    else
      walk.issues.push(`Could not find member '${name}' on object of type '${owner.type.className}'. Path '${where}'.`);
  }
  requireMembers(walk, node, result, at);
  return result;
}

function requireMembers(walk: Walk, node: Node, value: Json, at: string): void {
  for (const [name, child] of node.children) {
    const where = at ? `${at}.${name}` : name;
    if (child.mapper?.required && !child.mapper.readOnly && !child.mapper.isConstant && value[name] === undefined) {
      walk.issues.push(`The required property '${where}' is missing.`);
    }
    if (!child.mapper && value[name] === undefined) requireMembers(walk, child, {}, where);
  }
}

function mistyped(walk: Walk, at: string, wanted: string, value: unknown): undefined {
  walk.issues.push(`The value of '${at}' is ${JSON.stringify(value)?.slice(0, 80)}; it must be ${wanted}.`);
  return undefined;
}

const scalars: Readonly<Record<string, readonly [wanted: string, fits: (value: unknown) => boolean]>> = {
  String: ['a string', (value) => typeof value === 'string'],
  Number: ['a number', (value) => typeof value === 'number'],
  Boolean: ['true or false', (value) => typeof value === 'boolean'],
  DateTime: ['a date and time', (value) => typeof value === 'string' && !Number.isNaN(Date.parse(value))],
  Date: ['a date', (value) => typeof value === 'string' && !Number.isNaN(Date.parse(value))],
  TimeSpan: ['an ISO 8601 duration', (value) => typeof value === 'string' && /^P(?=.)/.test(value)],
  Uuid: ['a GUID', (value) => typeof value === 'string' && /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(value)],
  ByteArray: ['base64', (value) => typeof value === 'string'],
};

function walkValue(walk: Walk, mapper: Mapper, value: unknown, at: string): unknown {
  const type = mapper.type;
  if (type.name === 'Composite') return walkObject(walk, mapper as CompositeMapper, value, at);
  if (type.name === 'Sequence' && 'element' in type) {
    if (!Array.isArray(value)) return mistyped(walk, at, 'an array', value);
    constrain(walk, mapper, value, at);
    return value.map((each, index) => walkValue(walk, type.element, each, `${at}[${index}]`));
  }
  if (type.name === 'Dictionary' && 'value' in type) {
    if (!isObject(value)) return mistyped(walk, at, 'an object', value);
    const entries = Object.entries(value).filter(([, each]) => each !== null);
    return Object.fromEntries(
      entries.map(([name, each]) => [name, walkValue(walk, type.value, each, `${at}.${name}`)]),
    );
  }
  if (type.name === 'Enum' && 'allowedValues' in type) {
    if (!type.allowedValues.some((allowed) => String(allowed).toLowerCase() === String(value).toLowerCase())) {
      return mistyped(walk, at, `one of ${type.allowedValues.join(', ')}`, value);
    }
    return value;
  }
  const scalar = scalars[type.name];
  if (scalar && !scalar[1](value)) return mistyped(walk, at, scalar[0], value);
  constrain(walk, mapper, value, at);
  return value;
}

type Limit = string | number | boolean;
type Check = (value: never, limit: never) => boolean;
const constraints: Readonly<Record<string, readonly [Check, (limit: Limit) => string]>> = {
  InclusiveMinimum: [(value: number, limit: number) => value >= limit, (limit) => `at least ${limit}`],
  InclusiveMaximum: [(value: number, limit: number) => value <= limit, (limit) => `at most ${limit}`],
  ExclusiveMinimum: [(value: number, limit: number) => value > limit, (limit) => `more than ${limit}`],
  ExclusiveMaximum: [(value: number, limit: number) => value < limit, (limit) => `less than ${limit}`],
  MinLength: [(value: string, limit: number) => value.length >= limit, (limit) => `at least ${limit} characters long`],
  MaxLength: [(value: string, limit: number) => value.length <= limit, (limit) => `at most ${limit} characters long`],
  MinItems: [(value: unknown[], limit: number) => value.length >= limit, (limit) => `at least ${limit} items long`],
  MaxItems: [(value: unknown[], limit: number) => value.length <= limit, (limit) => `at most ${limit} items long`],
  MultipleOf: [(value: number, limit: number) => value % limit === 0, (limit) => `a multiple of ${limit}`],
  UniqueItems: [
    (value: unknown[], wanted: boolean) =>
      !wanted || new Set(value.map((each) => JSON.stringify(each))).size === value.length,
    () => 'without repetition',
  ],
  Pattern: [(value: string, limit: RegExp) => new RegExp(limit).test(value), (limit) => `of the form ${String(limit)}`],
};

function constrain(walk: Walk, mapper: Mapper, value: unknown, at: string): void {
  for (const [name, limit] of Object.entries(mapper.constraints ?? {})) {
    const constraint = constraints[name];
    if (constraint && !constraint[0](value as never, limit as never))
      mistyped(walk, at, constraint[1](limit as Limit), value);
  }
}

function checked(model: Model, body: Json): { readonly body: Json; readonly issues: readonly string[] } {
  const mappers = mappersOf(model.package);
  const mapper = mappers[model.mapper];
  if (!mapper) throw new Error(`${model.package} has no model "${model.mapper}"`);
  const walk: Walk = { mappers, allow: new Set(model.allow), issues: [] };
  return { body: walkObject(walk, mapper, body, '') as Json, issues: walk.issues };
}

/**
 * @returns the body without nulls and without what only the vendor may set
 * @throws ArmError 400 InvalidRequestContent with every issue
 */
export function checkModel(model: Model, body: Json): Json {
  const result = checked(model, body);
  if (result.issues.length === 0) return result.body;
  throw new ArmError(400, 'InvalidRequestContent', `The request content was invalid: ${result.issues.join(' ')}`);
}

/** @returns what a caller could have sent to get this stored content: without read-only and service-made members */
export const writablePart = (model: Model, content: Json): Json => checked(model, content).body;
