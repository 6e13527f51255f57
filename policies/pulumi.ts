/** A rule in the shape that @pulumi/policy serves to the engine. */
import type {
  Policies,
  PolicyResource,
  ReportViolation,
  ResourceValidationArgs,
  StackValidationArgs,
} from '@pulumi/policy';
import { describe, isUnknownValue, text, type Props, type Resource, type Rule, type Stack } from './rule';
import { settingsSchema } from './schema';

/** urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME */
export const stackNameOf = (urn: string): string => urn.split('::')[0]?.split(':')[2] ?? '';

function toResource(found: ResourceValidationArgs | PolicyResource): Resource {
  const urnsOf = (resources: readonly PolicyResource[]) => resources.map((resource) => resource.urn);
  const dependencies = 'propertyDependencies' in found ? Object.entries(found.propertyDependencies) : [];
  return {
    urn: found.urn,
    type: found.type,
    name: found.name,
    props: found.props,
    protect: found.opts.protect,
    dependencies: Object.fromEntries(dependencies.map(([property, resources]) => [property, urnsOf(resources)])),
  };
}

/** A typing error in a setting must not switch a rule off in silence: the engine passes over keys that it does not know. */
function strangerIn(rule: Rule, given: object): string | undefined {
  const known = Object.keys(settingsSchema(rule));
  const stranger = Object.keys(given).find((key) => !known.includes(key));
  return stranger && `${rule.name}.${stranger} is no setting; known are ${known.join(', ')}`;
}

/** Reports every violation that can be seen, then raises the first "not known yet", which the engine shows as advisory. */
function judge(rule: Rule, subjects: readonly Resource[], stack: Stack, given: Props, report: ReportViolation): void {
  const stranger = strangerIn(rule, given);
  if (stranger) return report(stranger);
  const clause = text(given['clause']);
  let unknown: Error | undefined;
  for (const resource of subjects) {
    try {
      for (const violation of rule.check(resource, given, stack)) {
        report(describe(rule, resource, violation, clause), resource.urn);
      }
    } catch (error) {
      if (!isUnknownValue(error)) throw error;
      unknown ??= error;
    }
  }
  if (unknown) throw unknown;
}

const looksAt = (rule: Rule, type: string) => rule.types === 'all' || rule.types.includes(type);

export function toPulumi(rule: Rule): Policies[number] {
  const base = {
    name: rule.name,
    description: rule.description,
    enforcementLevel: rule.level ?? ('mandatory' as const),
    configSchema: { properties: { ...settingsSchema(rule) } },
  };
  if (rule.scope === 'resource') {
    return {
      ...base,
      validateResource: (args: ResourceValidationArgs, report: ReportViolation) => {
        if (!looksAt(rule, args.type)) return;
        const resource = toResource(args);
        judge(
          rule,
          [resource],
          { name: stackNameOf(args.urn), resources: [resource] },
          args.getConfig<Props>(),
          report,
        );
      },
    };
  }
  return {
    ...base,
    validateStack: (args: StackValidationArgs, report: ReportViolation) => {
      const resources = args.resources.map(toResource);
      const subjects = resources.filter((resource) => looksAt(rule, resource.type));
      judge(rule, subjects, { name: stackNameOf(resources[0]?.urn ?? ''), resources }, args.getConfig<Props>(), report);
    },
  };
}
