/** Builds small exported states for the policies to judge. */
import { rules } from '../../policies/rules';
import { parseSettings } from '../../policies/settings';
import { checkState, type Finding } from '../../policies/state';

export interface Given {
  readonly type: string;
  readonly name: string;
  readonly inputs?: object;
  readonly outputs?: object;
  readonly protect?: boolean;
  /** Property → names of the resources of this state that it comes from. */
  readonly from?: Readonly<Record<string, readonly string[]>>;
}

/** Adds the stack's root, which every exported state has. */
export function exported(stack: string, given: readonly Given[]) {
  const urn = ({ type, name }: Given) => `urn:pulumi:${stack}::standby::${type}::${name}`;
  const urnsOf = (names: readonly string[]) => given.filter(({ name }) => names.includes(name)).map(urn);
  const root: Given = { type: 'pulumi:pulumi:Stack', name: `standby-${stack}` };
  const resources = [root, ...given].map((one) => ({
    urn: urn(one),
    type: one.type,
    inputs: one.inputs ?? {},
    outputs: one.outputs ?? {},
    protect: one.protect ?? false,
    propertyDependencies: Object.fromEntries(
      Object.entries(one.from ?? {}).map(([key, names]) => [key, urnsOf(names)]),
    ),
  }));
  return { version: 3, deployment: { resources } };
}

/** What one policy says about a state, in the settings given. */
export function findings(
  policy: string,
  settings: object,
  given: readonly Given[],
  stack = 'prod',
): readonly Finding[] {
  if (!rules.some((rule) => rule.name === policy)) throw new Error(`there is no policy ${policy}`);
  const report = checkState(exported(stack, given), parseSettings({ [policy]: settings }));
  return report.findings.filter((finding) => finding.policy === policy);
}
