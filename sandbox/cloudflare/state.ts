/**
 * All that the Cloudflare service knows, in the vendor's wire form. It is one file, replaced atomically before a change is
 * answered, so that a killed service starts again with every change it has acknowledged.
 */
import { createHash, randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { folders } from '../world';
import type { Policy } from './permissions';

export interface Zone {
  readonly id: string;
  readonly name: string;
  readonly status: 'active' | 'pending';
  readonly paused: boolean;
  readonly type: 'full' | 'partial' | 'secondary';
  readonly development_mode: number;
  readonly name_servers: readonly string[];
  readonly original_name_servers: readonly string[] | null;
  readonly original_registrar: string | null;
  readonly original_dnshost: string | null;
  readonly created_on: string;
  readonly modified_on: string;
  readonly activated_on: string | null;
  readonly account: { readonly id: string; readonly name: string };
}

export interface DnsRecord {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly content: string;
  readonly priority?: number;
  readonly data?: Readonly<Record<string, unknown>>;
  readonly proxiable: boolean;
  readonly proxied: boolean;
  /** Seconds; 1 is automatic. */
  readonly ttl: number;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly meta: Readonly<Record<string, unknown>>;
  readonly comment: string | null;
  readonly tags: readonly string[];
  readonly created_on: string;
  readonly modified_on: string;
  readonly comment_modified_on?: string;
}

export interface Rule {
  readonly id: string;
  readonly version: string;
  readonly action: string;
  readonly expression: string;
  readonly enabled: boolean;
  readonly last_updated: string;
  readonly ref: string;
  readonly [member: string]: unknown;
}

export interface Ruleset {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly kind: 'zone' | 'root' | 'custom';
  readonly phase: string;
  readonly version: string;
  readonly last_updated: string;
  readonly rules: readonly Rule[];
}

export interface Bucket {
  readonly name: string;
  readonly creation_date: string;
  readonly jurisdiction: string;
  readonly location: string;
  readonly storage_class: 'Standard' | 'InfrequentAccess';
  /** What may not be changed or deleted, and for how long. */
  readonly rules: readonly Readonly<Record<string, unknown>>[];
}

export interface Token {
  readonly id: string;
  readonly name: string;
  readonly status: 'active' | 'disabled';
  readonly policies: readonly Policy[];
  readonly issued_on: string;
  readonly modified_on: string;
  readonly not_before?: string;
  readonly expires_on?: string;
  readonly condition?: {
    readonly request_ip?: { readonly in?: readonly string[]; readonly not_in?: readonly string[] };
  };
}

export interface State {
  readonly zones: Readonly<Record<string, Zone>>;
  /** By zone, then by id. */
  readonly records: Readonly<Record<string, Readonly<Record<string, DnsRecord>>>>;
  /** By `zones/ID` or `accounts/ID`, then by id. */
  readonly rulesets: Readonly<Record<string, Readonly<Record<string, Ruleset>>>>;
  /** By `JURISDICTION/NAME`. Worlds that were kept before there were any have none. */
  readonly buckets?: Readonly<Record<string, Bucket>>;
  /** By SHA-256 of the token: the token itself is shown once, when it is made, and kept nowhere. */
  readonly tokens: Readonly<Record<string, Token>>;
}

export const identifier = () => randomBytes(16).toString('hex');
export const digest = (token: string) => createHash('sha256').update(token).digest('hex');
export const timestamp = () => new Date().toISOString().replace(/\.(\d{3})Z$/, '.$1000Z');

export const nameServers = ['ada.ns.cloudflare.com', 'lee.ns.cloudflare.com'] as const;

const stateFile = path.join(folders.cloudflare, 'state.json');

/** Emits `change` after the new state is on disk and in force. */
export class Store extends EventEmitter<{ change: [State] }> {
  private current: State;

  constructor(initial: () => State) {
    super();
    fs.mkdirSync(folders.cloudflare, { recursive: true });
    const text = fs.existsSync(stateFile) ? fs.readFileSync(stateFile, 'utf8') : undefined;
    this.current = text === undefined ? initial() : (JSON.parse(text) as State);
    if (text === undefined) this.write(this.current);
  }

  get state(): State {
    return this.current;
  }

  /** Replaces the state. Nothing is changed when the disk refuses it. */
  replace(change: Partial<State>): void {
    const next = { ...this.current, ...change };
    this.write(next);
    this.current = next;
    this.emit('change', next);
  }

  private write(state: State): void {
    fs.writeFileSync(stateFile + '.new', JSON.stringify(state), { mode: 0o600 });
    fs.renameSync(stateFile + '.new', stateFile);
  }
}
