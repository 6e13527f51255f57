import { dataTypes, isData } from '../data';
import { isOfDrill } from '../drill';
import { defineRule, dependentsOf, type Resource, type Stack, type Violation } from '../rule';

const standard =
  'ISO/IEC 27001:2022 A.8.13 (information backup), A.5.29 (security during disruption); GDPR Art. 32(1)(b)';
const limit = 'true, in the resource options: the engine then refuses to replace or delete it';

/** With `protect` the engine itself refuses to replace or delete a resource, at preview and at update. */
export const protectData = defineRule({
  name: 'protect-data',
  description: 'What holds data is protected against replacement and deletion',
  standard,
  scope: 'resource',
  types: dataTypes,
  settings: {},
  *check(resource, _settings, stack): Iterable<Violation> {
    if (!resource.protect && !isOfDrill(resource, stack)) yield { property: 'protect', value: false, limit };
  },
});

/** Deleting a resource group deletes what is in it, whatever protects that. */
export const protectDataGroups = defineRule({
  name: 'protect-data-groups',
  description: 'Resource groups of what holds data are protected as well',
  standard,
  scope: 'stack',
  types: ['azure-native:resources:ResourceGroup'],
  settings: {},
  *check(group, _settings, stack): Iterable<Violation> {
    if (group.protect || isOfDrill(group, stack)) return;
    const [inside] = dependentsOf(group, stack, dataTypes);
    if (inside) yield { property: 'protect', value: false, limit: `${limit}; ${inside.name} is in this group` };
  },
});

const identityOf = (resource: Resource, stack: Stack) => `${stack.name}::${resource.type}::${resource.name}`;

/** The data resources of a stack, in the form that the setting `resources` of data-resources-kept takes. */
export const dataResourcesOf = (stack: Stack): readonly string[] =>
  stack.resources.filter((resource) => isData(resource.type)).map((resource) => identityOf(resource, stack));

/**
 * A policy never sees what an update removes, only what will be there. So what must be there is named, and an update after
 * which one of them would be missing is refused, also when its protection was taken off by hand.
 */
export const dataResourcesKept = defineRule<{ resources: readonly string[] }>({
  name: 'data-resources-kept',
  description: 'No update drops a database, vault or backup storage',
  standard,
  scope: 'stack',
  types: ['pulumi:pulumi:Stack'],
  settings: {
    resources: {
      type: 'array',
      items: { type: 'string', pattern: '^[^:]+::[^:]+:[^:]+:[^:]+::.+$' },
      default: [],
      description: 'a list of STACK::TYPE::NAME',
    },
  },
  *check(_root, { resources }, stack): Iterable<Violation> {
    const present = new Set(dataResourcesOf(stack));
    for (const identity of resources) {
      if (!identity.startsWith(`${stack.name}::`) || present.has(identity)) continue;
      yield { property: identity, value: undefined, limit: 'to be there: data resources are never deleted or renamed' };
    }
  },
});
