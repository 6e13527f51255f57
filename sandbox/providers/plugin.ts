/**
 * What a stand-in for a provider plugin is: an object per package that, once configured, checks, compares, makes and removes
 * resources. It sees plain objects; the protocol (server.ts) is not its business.
 */

/** Property names as a Pulumi program writes them. `null` and absent are the same; absent is what is used. */
export type Properties = Readonly<Record<string, unknown>>;

/** Stands in an input for a value that is known only after an update. Any string of `isUnknown` may come, this one is sent. */
export const unknown = '04da6b54-80e4-46f7-96ec-b56ff0331ba9';
/** The engine marks a value that it does not know yet by its type: any, bool, number, array, asset, archive, object. */
const unknowns = new Set([
  unknown,
  '1c4a061d-8072-4f0a-a4cb-0ff528b18fe7',
  '3eeb2bf0-c639-47a8-9e75-3b44932eb421',
  '6a19a0b0-7e62-4c92-b797-7f8e31da9cc2',
  '030794c1-ac77-496b-92df-f27374a8bd58',
  'e48ece36-62e2-4504-bad9-02848725956a',
  'dd056dcd-154b-4c76-9bd3-c8f88648b5ff',
]);
export const isUnknown = (value: unknown): boolean => typeof value === 'string' && unknowns.has(value);

/** @returns whether the value is or holds one that is not known yet. */
export function hasUnknown(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hasUnknown);
  if (isRecord(value)) return Object.values(value).some(hasUnknown);
  return isUnknown(value);
}

/** An output that must be encrypted in the state. (Inputs that a program marked stay secret without a plugin's help.) */
export class Secret {
  constructor(readonly value: unknown) {}
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Secret);

/** @returns a value as a person would write it in configuration: text, numbers and switches; nothing for all else. */
export const text = (value: unknown): string =>
  typeof value === 'string' ? value : typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';

/** One resource as a call names it, and the means of the call. */
export interface Target {
  readonly urn: string;
  /** Type token, for example `azure-native:network:Subnet`. */
  readonly type: string;
  /** Name in the program. */
  readonly name: string;
}

export interface Call extends Target {
  /** Aborted when the engine cancels the update or is gone. */
  readonly signal: AbortSignal;
  /** The resource's own limit (`customTimeouts`), ms. */
  readonly timeoutMs?: number;
}

export interface CheckCall extends Call {
  readonly olds: Properties;
  readonly news: Properties;
  /** Fixed for one resource and update, so that a preview and its update choose the same name. */
  readonly seed: Uint8Array;
  /** The project's own rule for names (`pulumi:autonaming`). */
  readonly autonaming?: { readonly mode: 'propose' | 'enforce' | 'disable'; readonly proposed: string };
}

export interface Failure {
  /** Top-level input that is wrong; empty when it is the whole. */
  readonly property: string;
  readonly reason: string;
}

export interface DiffCall extends Target {
  readonly id: string;
  readonly oldInputs: Properties;
  readonly oldOutputs: Properties;
  readonly news: Properties;
}

export type ChangeKind = 'add' | 'delete' | 'update';

export interface Diff {
  /** Property path, as `template.containers[0].image`, to what happens there. Empty: nothing changes. */
  readonly changes: ReadonlyMap<string, { readonly kind: ChangeKind; readonly replace: boolean }>;
  readonly deleteBeforeReplace: boolean;
}

export interface State {
  /** Empty: there is no such resource (any more). */
  readonly id: string;
  readonly outputs: Properties;
}

/** A configured plugin. All methods reject with an Error whose message is one clear line. */
export interface Provider {
  check(call: CheckCall): Promise<{ readonly inputs: Properties; readonly failures: readonly Failure[] }>;
  diff(call: DiffCall): Diff;
  /** What is known of the outputs before an update makes them (`unknown` for the rest); `id` is that of an update. */
  preview(call: Target & { readonly inputs: Properties; readonly oldOutputs?: Properties }): Properties;
  create(call: Call & { readonly inputs: Properties }): Promise<State>;
  read(
    call: Call & { readonly id: string; readonly inputs?: Properties; readonly outputs: Properties },
  ): Promise<State & { readonly inputs: Properties }>;
  update(
    call: Call & {
      readonly id: string;
      readonly oldInputs: Properties;
      readonly oldOutputs: Properties;
      readonly inputs: Properties;
    },
  ): Promise<Properties>;
  delete(
    call: Call & { readonly id: string; readonly inputs: Properties; readonly outputs: Properties },
  ): Promise<void>;
  invoke(token: string, args: Properties, signal: AbortSignal): Promise<Properties>;
}

export interface Plugin {
  /** The package's name, as in a type token's first part. */
  readonly name: string;
  /** Of the official plugin that it stands in for. */
  readonly version: string;
  /** @throws Error when the configuration can't work; nothing is contacted yet. */
  configure(config: Properties): Provider;
}

/** The resource exists, but has not become what it should be: it is kept in the state, with the reasons. */
export class InitFailed extends Error {
  constructor(
    readonly id: string,
    readonly outputs: Properties,
    readonly reasons: readonly string[],
  ) {
    super(reasons.join('; '));
  }
}
