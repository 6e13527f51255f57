/** Between a Pulumi program's names, in which `properties` is flattened away, and the bodies of Azure Resource Manager. */
import type { CompositeMapper, DictionaryMapper, Mapper, SequenceMapper } from '@azure/core-client';
import { isRecord, isUnknown, unknown, type Failure, type Properties } from '../plugin';
import { composite, propertiesOf, type Property, type Service } from './models';

type Body = Record<string, unknown>;

/** A model of a service, by the name that its client gives it. */
export interface Model {
  readonly service: Service;
  readonly name: string;
}

const nameOf = (mapper: Mapper) => (mapper as CompositeMapper).type.className ?? '';
/** Models whose own fields stand under `properties` take fields that the client does not know (of a newer version) there too. */
const flattens = (list: readonly Property[]) =>
  list.some((property) => property.path.length > 1 && property.path[0] === 'properties');

/** Applies `model` to each model in a value, through lists and dictionaries. */
function each(
  service: Service,
  mapper: Mapper,
  value: unknown,
  model: (model: Model, value: Body) => unknown,
): unknown {
  if (mapper.type.name === 'Composite')
    return isRecord(value) ? model({ service, name: nameOf(mapper) }, value) : value;
  if (mapper.type.name === 'Sequence' && Array.isArray(value)) {
    return value.map((item) => each(service, (mapper as SequenceMapper).type.element, item, model));
  }
  if (mapper.type.name === 'Dictionary' && isRecord(value)) {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [
        key,
        each(service, (mapper as DictionaryMapper).type.value, item, model),
      ]),
    );
  }
  return value;
}

function put(body: Body, path: readonly string[], value: unknown): void {
  const [step, ...rest] = path as [string, ...string[]];
  if (!rest.length) body[step] = value;
  else put((body[step] ??= {}) as Body, rest, value);
}

const get = (body: unknown, path: readonly string[]): unknown =>
  path.reduce<unknown>((at, step) => (isRecord(at) ? at[step] : undefined), body);

/** Identities are given as a list of ids; on the wire they are the keys of an object. */
const asKeys = (mapper: Mapper, value: unknown): unknown =>
  mapper.type.name === 'Dictionary' && Array.isArray(value)
    ? Object.fromEntries(value.map((key) => [String(key), {}]))
    : value;

/** @returns the body to send. What only the service sets is left out. */
export function toBody({ service, name }: Model, value: Properties): Body {
  const list = propertiesOf(composite(service, name, value));
  const byName = new Map(list.map((property) => [property.name, property]));
  const unknownAt = flattens(list) ? ['properties'] : [];
  const body: Body = {};
  for (const { path, mapper } of list) if (mapper.isConstant) put(body, path, mapper.defaultValue);
  for (const [key, item] of Object.entries(value)) {
    const property = byName.get(key);
    if (!property) put(body, [...unknownAt, key], item);
    else if (!property.mapper.readOnly)
      put(body, property.path, each(service, property.mapper, asKeys(property.mapper, item), toBody));
  }
  return body;
}

/** @returns the outputs of a resource, or of a nested model, in a Pulumi program's names. */
export function fromBody({ service, name }: Model, body: Body): Body {
  const list = propertiesOf(composite(service, name, body));
  const outputs: Body = {};
  const seen = new Set(list.map((property) => property.path.join('/')));
  const extra = (from: unknown, prefix: string) => {
    for (const [key, item] of Object.entries(isRecord(from) ? from : {})) {
      const at = prefix + key;
      if (![...seen].some((path) => path === at || path.startsWith(`${at}/`))) outputs[key] = item;
    }
  };
  extra(body, '');
  if (flattens(list)) extra(body['properties'], 'properties/');
  for (const property of list) {
    const item = get(body, property.path);
    if (item !== undefined && item !== null) outputs[property.name] = each(service, property.mapper, item, fromBody);
  }
  return outputs;
}

/** What is known of the outputs before the service has answered: what was asked for. */
export function preview({ service, name }: Model, inputs: Properties): Body {
  const list = propertiesOf(composite(service, name, inputs));
  return Object.fromEntries(
    list.map(({ name: key, mapper }) => {
      const item = inputs[key];
      return [key, item === undefined || isUnknown(item) ? unknown : each(service, mapper, item, preview)];
    }),
  );
}

/** @returns those of the outputs that a program could have given: to tell what an existing resource's inputs are. */
export function inputsOf({ service, name }: Model, outputs: Properties): Body {
  const list = propertiesOf(composite(service, name, outputs));
  return Object.fromEntries(
    list.flatMap(({ name: key, mapper }) =>
      mapper.readOnly || outputs[key] === undefined ? [] : [[key, each(service, mapper, outputs[key], inputsOf)]],
    ),
  );
}

/** @returns what the vendor's description says is missing. */
export function missing({ service, name }: Model, inputs: Properties, at = ''): Failure[] {
  return propertiesOf(composite(service, name, inputs)).flatMap(({ name: key, mapper }): Failure[] => {
    const item = inputs[key];
    const where = at ? `${at}.${key}` : key;
    if (item === undefined) {
      if (!mapper.required || mapper.readOnly || mapper.isConstant) return [];
      return [{ property: where.split('.')[0] ?? where, reason: `missing required property '${where}'` }];
    }
    const failures: Failure[] = [];
    each(service, mapper, item, (model, value) => failures.push(...missing(model, value, where)));
    return failures;
  });
}
