/** The engine's events, one JSON text a line, as words for a person. */

interface Metadata {
  readonly op?: string;
  readonly urn?: string;
  readonly old?: { readonly retainOnDelete?: boolean } | null;
}
interface EngineEvent {
  readonly resourcePreEvent?: { readonly metadata?: Metadata };
  readonly diagnosticEvent?: { readonly urn?: string; readonly message?: string; readonly severity?: string };
  readonly policyEvent?: {
    readonly policyName?: string;
    readonly message?: string;
    readonly enforcementLevel?: string;
    readonly resourceUrn?: string;
  };
  readonly summaryEvent?: { readonly resourceChanges?: Readonly<Record<string, number>> };
}

const verbs: Readonly<Record<string, string>> = {
  create: 'create',
  update: 'change',
  delete: 'delete',
  replace: 'replace',
  'create-replacement': 'replace',
  'delete-replaced': 'delete',
  import: 'take over',
  refresh: 'read',
};
/** Steps that leave everything as it is. */
const still: ReadonlySet<string> = new Set(['same', 'read', 'refresh', 'read-replacement', 'read-discard']);

const nameOf = (urn = '') => urn.slice(urn.lastIndexOf('::') + 2);
const words = (text: string) => text.replace(/\s+/g, ' ').trim();

const isChange = (op: string | undefined): op is string => op !== undefined && !still.has(op);

interface Change {
  readonly type: string;
  readonly text: string;
}

/** @returns what a step changes, in words; undefined for one that changes nothing, or only the stack's own entry. */
function changeOf(event: { readonly metadata?: Metadata } | undefined): Change | undefined {
  const { op, urn = '', old } = event?.metadata ?? {};
  const type = urn.split('::').at(-2)?.split('$').at(-1) ?? '';
  if (!isChange(op) || type === 'pulumi:pulumi:Stack') return undefined;
  // It is left where it is, and the state alone loses it.
  const verb = op.startsWith('delete') && old?.retainOnDelete ? 'forget' : (verbs[op] ?? op);
  return { type, text: `${verb} ${type} ${nameOf(urn)}` };
}

/** Groups and providers are entries of the state alone: nobody waits for them. */
const isEntry = ({ type, text }: Change) => /^(standby:|pulumi:providers:)/.test(type) || text.startsWith('forget ');

export interface Failing {
  readonly urn: string | undefined;
  readonly message: string;
}

/** Collects what an operation says while it runs. */
export class EventReader {
  readonly errors: Failing[] = [];
  /** What changed, or would; replacements once. */
  readonly changes: string[] = [];
  changed = 0;

  constructor(private readonly progress: (message: string) => void = () => undefined) {}

  readonly line = (line: string): void => {
    let event: EngineEvent;
    try {
      event = JSON.parse(line) as EngineEvent;
    } catch {
      return; // a line of a plugin
    }
    const begun = changeOf(event.resourcePreEvent);
    if (begun) {
      this.changes.push(begun.text);
      if (!isEntry(begun)) this.progress(begun.text);
    }
    const { diagnosticEvent: said, policyEvent: refused } = event;
    if (said?.severity === 'error' && said.message) {
      this.errors.push({ urn: said.urn, message: said.message.trim() });
    }
    if (refused?.enforcementLevel === 'mandatory') {
      const message = `policy ${refused.policyName ?? ''}: ${words(refused.message ?? '')}`;
      this.errors.push({ urn: refused.resourceUrn, message });
    }
    const summary = event.summaryEvent?.resourceChanges;
    if (summary) {
      const counts = Object.entries(summary).filter(([op]) => isChange(op));
      this.changed = counts.reduce((sum, [, count]) => sum + count, 0);
    }
  };

  /** @returns the errors that say why, the engine's own "update failed" last. */
  text(): string {
    const own = (message: string) => /^(update|preview) failed/.test(message);
    return this.errors
      .map(({ urn, message }) =>
        urn && !message.startsWith('the configuration') ? `${nameOf(urn)}: ${message}` : message,
      )
      .sort((a, b) => Number(own(a)) - Number(own(b)))
      .join('\n');
  }
}
