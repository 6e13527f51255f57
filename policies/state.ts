/** The policies alone, on an exported state: no engine, no cloud, no credentials. */
import { dataResourcesOf } from './rules/protection';
import { describe, isUnknownValue, text, UnknownValue, type Props, type Resource, type Rule, type Stack } from './rule';
import { rules } from './rules';
import { PolicyInputError, type Settings } from './settings';

export interface Finding {
  readonly policy: string;
  readonly level: 'mandatory' | 'advisory';
  readonly urn: string;
  readonly message: string;
}

export interface Report {
  /** How many resources were judged. */
  readonly resources: number;
  readonly findings: readonly Finding[];
  /** True when nothing mandatory was found. */
  readonly passed: boolean;
}

interface StateResource {
  readonly urn: string;
  readonly type: string;
  readonly inputs?: Props;
  readonly outputs?: Props;
  readonly protect?: boolean;
  readonly propertyDependencies?: Readonly<Record<string, readonly string[] | null>> | null;
  /** Waits for its deletion after a replacement: no longer the resource of this name. */
  readonly delete?: boolean;
  /** Read, not owned. */
  readonly external?: boolean;
}

const isObject = (value: unknown): value is Props =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isStateResource = (value: unknown): value is StateResource =>
  isObject(value) && typeof value['urn'] === 'string' && typeof value['type'] === 'string';

function toResource(found: StateResource): Resource {
  const dependencies = Object.entries(found.propertyDependencies ?? {}).map(
    ([property, urns]): [string, readonly string[]] => [property, urns ?? []],
  );
  return {
    urn: found.urn,
    type: found.type,
    name: found.urn.slice(found.urn.lastIndexOf('::') + 2),
    props: { ...found.outputs, ...found.inputs },
    protect: found.protect ?? false,
    dependencies: Object.fromEntries(dependencies),
  };
}

/**
 * @param exported what `pulumi stack export` prints.
 * @throws PolicyInputError when it is something else.
 */
export function readStack(exported: unknown): Stack {
  const deployment = isObject(exported) ? exported['deployment'] : undefined;
  const found: unknown = isObject(deployment) ? (deployment['resources'] ?? []) : undefined;
  if (!Array.isArray(found) || !found.every(isStateResource)) {
    throw new PolicyInputError('the file is no exported state; make one with: pulumi stack export --file FILE');
  }
  const resources = found.filter((one) => !one.delete && !one.external).map(toResource);
  return { name: resources[0]?.urn.split('::')[0]?.split(':')[2] ?? '', resources };
}

function* judge(rule: Rule, resource: Resource, settings: Props, stack: Stack): Iterable<Finding> {
  const finding = (message: string): Finding => ({
    policy: rule.name,
    level: rule.level ?? 'mandatory',
    urn: resource.urn,
    message,
  });
  try {
    for (const violation of rule.check(resource, settings, stack)) {
      yield finding(describe(rule, resource, violation, text(settings['clause'])));
    }
  } catch (error) {
    if (!isUnknownValue(error)) throw error;
    // In a state nothing is "not known yet": what can't be read is encrypted, and not green.
    const property = error instanceof UnknownValue ? error.property : 'a value';
    yield finding(
      `${resource.name} (${resource.type}): ${property} is encrypted in this state, so it can't be judged; ` +
        'pipe it instead: pulumi stack export --show-secrets | node policies/check.js -',
    );
  }
}

/** Type → rules that look at it, so that a large state is passed through once. */
function dispatch(): (type: string) => readonly Rule[] {
  const table = new Map<string, readonly Rule[]>();
  return (type) => {
    const known = table.get(type) ?? rules.filter((rule) => rule.types === 'all' || rule.types.includes(type));
    table.set(type, known);
    return known;
  };
}

/**
 * Judges an exported state by the same rules as the engine's policy pack.
 * @param exported what `pulumi stack export` prints.
 * @param settings complete settings: `parseSettings({})` for the defaults, `readSettings(FILE)` for a profile's.
 * @throws PolicyInputError when `exported` is no state.
 */
export function checkState(exported: unknown, settings: Settings): Report {
  const stack = readStack(exported);
  const rulesFor = dispatch();
  const findings: Finding[] = [];
  for (const resource of stack.resources) {
    for (const rule of rulesFor(resource.type)) {
      findings.push(...judge(rule, resource, settings[rule.name] ?? {}, stack));
    }
  }
  const passed = findings.every((finding) => finding.level !== 'mandatory');
  return { resources: stack.resources.length, findings, passed };
}

/** The list that the setting `data-resources-kept.resources` takes, as the state has them now. */
export const dataResources = (exported: unknown): readonly string[] => dataResourcesOf(readStack(exported));
