/**
 * The vendor's own descriptions of its models (the `mappers` of the @azure/arm-* packages): where a property of a model stands
 * on the wire, which ones only the service sets, which ones it needs.
 */
import type { CompositeMapper, Mapper } from '@azure/core-client';
import { createRequire } from 'node:module';
import * as path from 'node:path';
import { repository } from '../../world';

/** Files of the packages that hold them. Some packages hide theirs from `import`; a path always works. */
const files = {
  app: 'arm-appcontainers/dist/commonjs/models/mappers.js',
  authorization: 'arm-authorization/dist-esm/src/models/mappers.js',
  containerservice: 'arm-containerservice/dist/commonjs/models/mappers.js',
  dbforpostgresql: 'arm-postgresql-flexible/dist/commonjs/models/mappers.js',
  managedidentity: 'arm-msi/dist/commonjs/models/mappers.js',
  monitor: 'arm-monitor/dist-esm/src/models/mappers.js',
  network: 'arm-network/dist-esm/src/models/mappers.js',
  operationalinsights: 'arm-operationalinsights/dist-esm/src/models/mappers.js',
  privatedns: 'arm-privatedns/dist-esm/src/models/mappers.js',
  resources: 'arm-resources/dist/commonjs/models/mappers.js',
  sql: 'arm-sql/dist-esm/src/models/mappers.js',
  storage: 'arm-storage/dist/commonjs/models/mappers.js',
} as const;
export type Service = keyof typeof files;

export interface Property {
  /** As a Pulumi program writes it. */
  readonly name: string;
  /** Where it stands in the body: `properties.networkAcls` is two steps. */
  readonly path: readonly string[];
  readonly mapper: Mapper;
}

interface Models {
  readonly composites: Readonly<Record<string, CompositeMapper>>;
  /** Sub-types by `Parent.value of the discriminator`. */
  readonly discriminators: Readonly<Record<string, CompositeMapper>>;
}

const loaded = new Map<Service, Models>();

/** @throws Error when the package is not installed. */
export function modelsOf(service: Service): Models {
  const known = loaded.get(service);
  if (known) return known;
  const load = createRequire(path.join(repository, 'package.json'));
  const exported = load(path.join(repository, 'node_modules', '@azure', files[service])) as Models['composites'];
  const models = {
    composites: exported,
    discriminators: (exported['discriminators'] ?? {}) as unknown as Models['discriminators'],
  };
  loaded.set(service, models);
  return models;
}

const capitals = (text: string) => text.replaceAll(/[^A-Z]/g, '').length;

/**
 * Pulumi takes a property's name from the wire unless the specification gives it another one. The clients do the same, but
 * spell abbreviations their own way (`enableRbac`): names that differ in case alone are the one with more capitals.
 */
function nameOf(clientName: string, wireName: string): string {
  if (clientName.toLowerCase() !== wireName.toLowerCase()) return clientName;
  return capitals(wireName) > capitals(clientName) ? wireName : clientName;
}

const properties = new WeakMap<CompositeMapper, readonly Property[]>();

/** The properties of one model, its sub-type chosen by the discriminator's value. */
export function propertiesOf(mapper: CompositeMapper): readonly Property[] {
  const known = properties.get(mapper);
  if (known) return known;
  const list = Object.entries(mapper.type.modelProperties ?? {}).map(([clientName, property]): Property => {
    // `a.b` is two steps, `odata\\.type` is one.
    const steps = (property.serializedName ?? clientName).split(/(?<!\\)\./).map((step) => step.replaceAll('\\.', '.'));
    return { name: nameOf(clientName, steps.at(-1) ?? clientName), path: steps, mapper: property };
  });
  properties.set(mapper, list);
  return list;
}

/** @returns the model of that name, or its sub-type for this value (`value` may be in either naming). */
export function composite(
  service: Service,
  className: string,
  value: Readonly<Record<string, unknown>>,
): CompositeMapper {
  const { composites, discriminators } = modelsOf(service);
  const mapper = composites[className];
  if (!mapper) throw new Error(`the client of ${service} has no model "${className}"`);
  const by = mapper.type.polymorphicDiscriminator;
  const kind = by && (value[by.clientName ?? ''] ?? value[(by.serializedName ?? '').replaceAll('\\', '')]);
  return (typeof kind === 'string' && discriminators[`${mapper.type.uberParent ?? className}.${kind}`]) || mapper;
}
