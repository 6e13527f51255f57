/** Rules that the vendor's models do not state: enums, ranges, mutability, names, places. */
import { ArmError, type ArmResource, type Json, type Kind, type Rule, type Secrets } from './kind';
import { normalLocation } from './context';
import { isRegion } from './locations';

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** @returns the value at a wire path such as `properties.backup.backupRetentionDays` */
export const valueAt = (content: unknown, path: string): unknown =>
  path.split('.').reduce<unknown>((value, name) => (isObject(value) ? value[name] : undefined), content);

function setAt(content: Json, path: string, value: unknown): void {
  const names = path.split('.');
  const last = names.pop() as string;
  let target = content;
  for (const name of names) target = isObject(target[name]) ? target[name] : (target[name] = {});
  if (value === undefined) delete target[last];
  else target[last] = value;
}

/** RFC 7396. */
export function merge(target: Json, patch: Json): Json {
  const result = { ...target };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = isObject(value) ? merge(isObject(result[name]) ? result[name] : {}, value) : value;
  }
  return result;
}

const same = (one: unknown, other: unknown): boolean =>
  typeof one === 'string' && typeof other === 'string'
    ? one.toLowerCase() === other.toLowerCase()
    : JSON.stringify(one) === JSON.stringify(other);

function violation(rule: Rule, value: unknown): string | undefined {
  const shown = JSON.stringify(value);
  if (value === undefined) return rule.required ? 'is missing; it is required' : undefined;
  if (rule.oneOf && !rule.oneOf.some((allowed) => same(allowed, value)))
    return `is ${shown}; allowed: ${rule.oneOf.join(', ')}`;
  const { min = -Infinity, max = Infinity } = rule;
  if ((rule.min !== undefined || rule.max !== undefined) && !(Number(value) >= min && Number(value) <= max)) {
    return `is ${shown}; allowed: ${rule.min ?? 'any'} to ${rule.max ?? 'any'}`;
  }
  if (rule.pattern && !(typeof value === 'string' && rule.pattern.test(value)))
    return `is ${shown}; it must match ${rule.pattern}`;
  return undefined;
}

/** Fills in defaults and applies the rules. @throws ArmError 400 at the first violation */
export function applyRules(kind: Kind, body: Json, previous: ArmResource | undefined): void {
  for (const rule of kind.rules ?? []) {
    const before = previous && valueAt(previous, rule.path);
    if (valueAt(body, rule.path) === undefined) {
      const filled = before !== undefined && (rule.immutable || rule.initial !== undefined) ? before : rule.initial;
      if (filled !== undefined) setAt(body, rule.path, structuredClone(filled));
    }
    const value = valueAt(body, rule.path);
    const wrong = violation(rule, value);
    if (wrong) throw new ArmError(400, rule.code ?? 'InvalidParameterValue', `The value of '${rule.path}' ${wrong}.`);
    if (rule.immutable && previous && before !== undefined && !same(before, value)) {
      throw new ArmError(
        400,
        rule.code ?? 'PropertyChangeNotAllowed',
        `Changing property '${rule.path}' is not allowed: it is ${JSON.stringify(before)}, the request has ${JSON.stringify(value)}.`,
      );
    }
  }
}

/** Takes the write-only values out of the body. @returns what to keep, by path */
export function takeSecrets(kind: Kind, body: Json): Map<string, string> {
  const taken = new Map<string, string>();
  for (const path of kind.writeOnly ?? []) {
    const value = valueAt(body, path);
    if (value === undefined) continue;
    taken.set(path, typeof value === 'string' ? value : JSON.stringify(value));
    setAt(body, path, undefined);
  }
  return taken;
}

export function keepSecrets(secrets: Secrets, taken: ReadonlyMap<string, string>): void {
  for (const [path, value] of taken) if (secrets.get(path) !== value) secrets.set(path, value);
}

/** Checks `location` and brings it into its normal form. @throws ArmError 400, 409 in the vendor's words */
export function placeOf(kind: Kind, body: Json, previous: ArmResource | undefined): void {
  if (kind.location === 'none') return;
  const asked = body['location'];
  if (typeof asked !== 'string')
    throw new ArmError(400, 'LocationRequired', 'The location property is required for this definition.');
  const location = normalLocation(asked);
  const allowed = kind.location === 'global' ? location === 'global' : isRegion(location);
  if (!allowed) {
    throw new ArmError(
      400,
      'LocationNotAvailableForResourceType',
      `The provided location '${asked}' is not available for resource type '${kind.type}'. ` +
        `List of available regions for the resource type is '${kind.location === 'global' ? 'global' : "those of 'az account list-locations'"}'.`,
    );
  }
  if (previous && previous.location !== location) {
    throw new ArmError(
      409,
      'InvalidResourceLocation',
      `The resource '${previous.name}' already exists in location '${previous.location}'. ` +
        `A resource with the same name cannot be created in location '${location}'. Please select a new resource name.`,
    );
  }
  body['location'] = location;
}
