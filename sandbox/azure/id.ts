/** Resource ids: parsed once, compared in lower case, shown in the caller's casing. */

export interface ResourceId {
  /** As the caller wrote it, without trailing slash. */
  readonly id: string;
  /** Lower case: the key of the store. */
  readonly key: string;
  readonly subscription: string;
  /** Empty for what lies at the subscription itself. */
  readonly resourceGroup: string;
  /** What an extension resource (role assignment, diagnostic setting) is attached to, or the group or subscription. */
  readonly scope: string;
  /** `Microsoft.Network/virtualNetworks/subnets` */
  readonly type: string;
  readonly name: string;
  /** Names of the pairs, outermost first: `['vnet-prod', 'snet-nodes']`. */
  readonly names: readonly string[];
  /** Id of the resource above: the virtual network of a subnet. Undefined for a top-level resource. */
  readonly parent: string | undefined;
}

const groupType = 'Microsoft.Resources/resourceGroups';
const scopePattern = /^\/subscriptions\/([^/]+)(?:\/resourceGroups\/([^/]+))?/i;

/**
 * @param path of a resource, e.g. `/subscriptions/S/resourceGroups/G/providers/Microsoft.Network/virtualNetworks/V/subnets/N`
 * @returns undefined when the path is not that of one resource (a list, an action, another service's path).
 */
export function parseId(path: string): ResourceId | undefined {
  const id = path.replace(/\/+$/, '');
  const scope = scopePattern.exec(id);
  if (!scope) return undefined;
  const base = { id, key: id.toLowerCase(), subscription: scope[1] as string, resourceGroup: scope[2] ?? '' };
  if (id.length === scope[0].length) {
    if (!scope[2]) return undefined;
    return {
      ...base,
      scope: `/subscriptions/${scope[1]}`,
      type: groupType,
      name: scope[2],
      names: [scope[2]],
      parent: undefined,
    };
  }
  const at = base.key.lastIndexOf('/providers/');
  if (at < 0) return undefined;
  const [namespace, ...pairs] = id.slice(at + '/providers/'.length).split('/');
  if (!namespace || pairs.length < 2 || pairs.length % 2 === 1 || pairs.includes('')) return undefined;
  const names = pairs.filter((_, index) => index % 2 === 1).map(decodeURIComponent);
  return {
    ...base,
    scope: id.slice(0, at),
    type: [namespace, ...pairs.filter((_, index) => index % 2 === 0)].join('/'),
    name: names.at(-1) as string,
    names,
    parent: pairs.length > 2 ? id.split('/').slice(0, -2).join('/') : undefined,
  };
}

/** @returns the id in the vendor's own casing of the words in it: `resourceGroups`, the type's segments. */
export function canonicalId(id: ResourceId, type: string): ResourceId {
  const fixed = (path: string) =>
    path.replace(/\/subscriptions\//i, '/subscriptions/').replace(/\/resourceGroups(?=\/|$)/i, '/resourceGroups');
  const [namespace, ...segments] = type.split('/');
  const pairs = segments.map((segment, index) => `${segment}/${id.names[index]}`);
  const path = id.type === groupType ? id.id : `${id.scope}/providers/${namespace}/${pairs.join('/')}`;
  return parseId(fixed(path)) ?? id;
}

/** A list's path: the type asked for and the prefix below which its resources lie. */
export function parseCollection(
  path: string,
): { readonly type: string; readonly under: string; readonly parent: string | undefined } | undefined {
  const id = path.replace(/\/+$/, '');
  if (/^\/subscriptions\/[^/]+\/resourceGroups$/i.test(id)) {
    return { type: groupType, under: id.slice(0, id.lastIndexOf('/')), parent: undefined };
  }
  const at = id.toLowerCase().lastIndexOf('/providers/');
  if (at < 0 || !scopePattern.test(id)) return undefined;
  const [namespace, ...pairs] = id.slice(at + '/providers/'.length).split('/');
  if (!namespace || pairs.length % 2 === 0) return undefined;
  const parent = pairs.length > 1 ? id.slice(0, id.lastIndexOf('/')) : undefined;
  return {
    type: [namespace, ...pairs.filter((_, index) => index % 2 === 0)].join('/'),
    under: parent ?? id.slice(0, at),
    parent,
  };
}
