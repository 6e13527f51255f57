/** How an operation of the API is written down: method, path, what it needs, what it does. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Need } from './permissions';
import type { Store, Token, Zone } from './state';

export interface Account {
  readonly id: string;
  readonly name: string;
}

export interface Call {
  readonly store: Store;
  readonly account: Account;
  readonly token: Token;
  /** Identifiers of the path, by name. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
  /** The zone of the path; it exists. */
  readonly zone: Zone;
}

export interface Answer {
  readonly result?: unknown;
  readonly result_info?: unknown;
  readonly messages?: readonly { readonly code: number; readonly message: string; readonly type: null }[];
  /** Sent as it is, without an envelope. */
  readonly text?: string;
}

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** `:name` stands for an identifier; `:phase` for a word; `:bucket` for the name of one. */
  readonly path: string;
  readonly need?: Need;
  readonly handle: (call: Call) => Answer;
}

export const need = (permission: Need['permission'], level: Need['level'], on: Need['on']): { need: Need } => ({
  need: { permission, level, on },
});
