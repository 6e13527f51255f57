/** Contexts: what the functions of a kind see of the service. */
import { regionOf, sites, type Site } from '../world';
import { parseId, type ResourceId } from './id';
import { ArmError, type Context } from './kind';
import type { Store } from './store';

export type ContextFactory = (id: ResourceId, location?: string) => Context;

/** `West Europe` and `westeurope` are the same place. */
export const normalLocation = (location: string) => location.replaceAll(' ', '').toLowerCase();

export const siteOfLocation = (location: string): Site | undefined =>
  sites.find((site) => regionOf[site] === normalLocation(location));

/** Ids a resource gets its place from when it has none of its own: its parents, what it is attached to, its group. */
function enclosing(id: ResourceId): string[] {
  const parents: string[] = [];
  for (let at: ResourceId | undefined = id; at?.parent; at = parseId(at.parent)) parents.push(at.parent);
  const scope = parseId(id.scope);
  return scope ? [...parents, id.scope, ...enclosing(scope)] : parents;
}

/** @returns the place a resource is in: its own location when it has one that is not "global", else the nearest around it. */
export function locationOf(store: Store, id: ResourceId, own?: string): string | undefined {
  const locations = [own, ...[id.id, ...enclosing(id)].map((each) => store.get(each)?.location)];
  return locations.find((location) => location !== undefined && normalLocation(location) !== 'global');
}

export const notFound = (id: ResourceId) =>
  id.type.toLowerCase() === 'microsoft.resources/resourcegroups'
    ? new ArmError(404, 'ResourceGroupNotFound', `Resource group '${id.name}' could not be found.`)
    : new ArmError(
        404,
        'ResourceNotFound',
        `The Resource '${id.type}/${id.names.join('/')}' under resource group '${id.resourceGroup}' was not found. ` +
          'For more details please go to https://aka.ms/ARMResourceNotFoundFix',
      );

export function contexts(store: Store, log: (line: string) => void): ContextFactory {
  const make: ContextFactory = (id, location) => {
    const need = (other: string) => {
      const found = store.get(other);
      if (found) return found;
      const parsed = parseId(other);
      throw parsed
        ? notFound(parsed)
        : new ArmError(400, 'LinkedInvalidPropertyId', `Property id '${other}' is not a resource id.`);
    };
    const siteNow = () => siteOfLocation(locationOf(store, id, location) ?? '');
    return {
      id,
      get site() {
        return siteNow();
      },
      secrets: store.secrets(id.id),
      get: (other) => store.get(other),
      need,
      list: (type, under) => store.list(type, under),
      save: (resource) => store.put(resource),
      discard: (resource) => store.remove(resource),
      of(other) {
        const parsed = parseId(other);
        if (!parsed) throw new ArmError(400, 'LinkedInvalidPropertyId', `Property id '${other}' is not a resource id.`);
        return make(parsed);
      },
      address(pool) {
        const site = siteNow();
        if (site) return store.address(id.id, site, pool);
        const allowed = sites.map((each) => regionOf[each]).join(', ');
        throw new ArmError(
          409,
          'LocationNotAvailableForResourceType',
          `'${id.type}' can't be made in '${locationOf(store, id, location)}' here: the sandbox has machines in ${allowed} only.`,
        );
      },
      log: (line) => log(`${id.type} ${id.name}: ${line}`),
    };
  };
  return make;
}
