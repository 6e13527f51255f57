/**
 * No replace or delete of data during a failover, judged on what the engine says it will do. A policy pack is shown only what
 * will be there, never what goes; the steps of a preview show both.
 */
import { isData } from './data';
import { PolicyInputError } from './settings';
import type { Finding, Report } from './state';

const losing = ['delete', 'replace', 'create-replacement', 'delete-replaced', 'discard-replaced', 'import-replacement'];

interface Step {
  readonly op: string;
  readonly urn: string;
  readonly replaceReasons?: readonly string[] | null;
}
const isStep = (value: unknown): value is Step =>
  typeof value === 'object' && value !== null && 'op' in value && 'urn' in value && typeof value.urn === 'string';

/** urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME */
const typeOf = (urn: string) => urn.split('::')[2]?.split('$').at(-1) ?? '';

/**
 * @param preview what `pulumi preview --json` prints.
 * @returns a finding for each data resource that would be replaced or deleted.
 * @throws PolicyInputError when it is something else.
 */
export function checkPreview(preview: unknown): Report {
  const steps: unknown =
    typeof preview === 'object' && preview !== null && 'steps' in preview ? preview.steps : undefined;
  if (!Array.isArray(steps) || !steps.every(isStep)) {
    throw new PolicyInputError('the file is no preview; make one with: pulumi preview --json > FILE');
  }
  const lost = new Map<string, Finding>();
  for (const { op, urn, replaceReasons } of steps) {
    if (!losing.includes(op) || !isData(typeOf(urn))) continue;
    const because = replaceReasons?.length ? ` because of ${replaceReasons.join(', ')}` : '';
    lost.set(urn, {
      policy: 'data-resources-kept',
      level: 'mandatory',
      urn,
      message:
        `${urn.slice(urn.lastIndexOf('::') + 2)} (${typeOf(urn)}): step is "${op}"${because}; allowed is create, update, same ` +
        'or read: data resources are never replaced or deleted. Serves ISO/IEC 27001:2022 A.5.29 (security during disruption).',
    });
  }
  return { resources: steps.length, findings: [...lost.values()], passed: lost.size === 0 };
}
