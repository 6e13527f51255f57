/**
 * Faults on demand. Each service that can fail reads a file of rules at each request, the same form for all (`chaosFiles`):
 *
 *     {"rules": [{"id": "a", "match": "^PUT .*\/flexibleServers\/", "times": 2, "status": 429, "retryAfter": 1}]}
 *
 * | service | what a rule's `match` is compared with |
 * | --- | --- |
 * | azure | `METHOD /subscriptions/…` of Azure Resource Manager |
 * | cloudflare | `METHOD /client/v4/…` |
 * | blob | `METHOD /ACCOUNT/CONTAINER/BLOB?comp=…` |
 * | kube-prod, kube-intg | `METHOD /apis/…` of the API server; its own components (node, controllers) are left alone |
 *
 * The first rule that matches and is not used up befalls the request; a rule with a new `id` counts anew. Networks, sites and
 * processes have faults of their own: sandbox/silence.ts, sandbox/chaos/frozen.ts, sandbox/chaos/clock.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SandboxError } from '../error';
import { folders } from '../world';

export interface ChaosRule {
  readonly id: string;
  /** Regular expression on "METHOD path", whatever the case of letters. */
  readonly match: string;
  /** Beginning of the caller's address, such as `127.0.10.` for PROD. @default - everybody */
  readonly from?: string;
  /** How many matching requests it befalls. @default - all */
  readonly times?: number;
  /** Waits before anything else. */
  readonly latencyMs?: number;
  /** Answers this instead of doing it: 429, 500, 503. */
  readonly status?: number;
  /** Seconds, told with `status`. */
  readonly retryAfter?: number;
  /** Does it, and cuts the connection before the answer: half-done, as the caller sees it. */
  readonly lost?: boolean;
  /** Cuts the connection without doing it. */
  readonly refuse?: boolean;
  /** Does nothing and never answers; the connection is cut after a minute. */
  readonly silent?: boolean;
}

export const chaosServices = ['azure', 'cloudflare', 'blob', 'kube-prod', 'kube-intg'] as const;
export type ChaosService = (typeof chaosServices)[number];

export const chaosFiles: Readonly<Record<ChaosService, string>> = {
  azure: path.join(folders.azure, 'chaos.json'),
  cloudflare: path.join(folders.cloudflare, 'chaos.json'),
  blob: path.join(folders.blob, 'chaos.json'),
  'kube-prod': path.join(folders.kubernetes('prod'), 'chaos.json'),
  'kube-intg': path.join(folders.kubernetes('intg'), 'chaos.json'),
};

export interface Requested {
  readonly method: string;
  readonly path: string;
  /** The caller's address. */
  readonly from?: string | undefined;
}

/** What is to become of a request, after it has waited. */
export type Fate =
  | { readonly kind: 'done' | 'lost' | 'cut' | 'silent' }
  | { readonly kind: 'answered'; readonly status: number; readonly retryAfter?: number };

/** How long a request that nobody answers is held. */
export const silentMs = 60_000;

/** The rules of one service, as its file has them now. */
export class ChaosBook {
  private readonly used = new Map<string, number>();

  constructor(private readonly file: string) {}

  /** Waits where a rule says so. @returns what comes next; `done` where no rule matches. */
  async befall(request: Requested): Promise<Fate> {
    const rule = this.find(request);
    if (!rule) return { kind: 'done' };
    this.used.set(rule.id, (this.used.get(rule.id) ?? 0) + 1);
    if (rule.latencyMs) await delay(rule.latencyMs);
    if (rule.silent) return { kind: 'silent' };
    if (rule.refuse) return { kind: 'cut' };
    const { status, retryAfter } = rule;
    if (status) return { kind: 'answered', status, ...(retryAfter === undefined ? {} : { retryAfter }) };
    return { kind: rule.lost ? 'lost' : 'done' };
  }

  private find({ method, path: asked, from = '' }: Requested): ChaosRule | undefined {
    const left = (rule: ChaosRule) => (this.used.get(rule.id) ?? 0) < (rule.times ?? Infinity);
    return this.rules().find(
      (rule) =>
        left(rule) && from.startsWith(rule.from ?? '') && new RegExp(rule.match, 'i').test(`${method} ${asked}`),
    );
  }

  private rules(): readonly ChaosRule[] {
    try {
      return (JSON.parse(fs.readFileSync(this.file, 'utf8')) as { readonly rules?: readonly ChaosRule[] }).rules ?? [];
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw cause;
    }
  }
}

/** Leaves a request without an answer until the caller goes away, a minute at most. */
export async function neverAnswer(gone: AbortSignal): Promise<void> {
  await delay(silentMs, undefined, { signal: gone, ref: false }).catch(() => undefined);
}

/** @throws SandboxError that says what a rule is made of. */
export function parseRule(text: string, index: number): ChaosRule {
  try {
    const rule = JSON.parse(text) as Partial<ChaosRule>;
    new RegExp(rule.match ?? '.');
    return { ...rule, id: rule.id ?? `${Date.now()}-${index}`, match: rule.match ?? '.' };
  } catch (cause) {
    throw new SandboxError(
      'BadRule',
      `rule ${text} is none (${(cause as Error).message}); allowed is JSON such as {"match": "^PUT ", "times": 2, "status": 429}`,
      { cause },
    );
  }
}

/** Puts rules into force, in place of those that were; without any the service works again. */
export function order(service: ChaosService, ...rules: readonly ChaosRule[]): void {
  const file = chaosFiles[service];
  if (rules.length === 0) return fs.rmSync(file, { force: true });
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file + '.new', JSON.stringify({ rules }));
  fs.renameSync(file + '.new', file);
}
