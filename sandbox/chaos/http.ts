/** What becomes of a request of Node's server that is not answered. */
import type * as http from 'node:http';
import { silentMs, type Fate } from './rules';

/** Leaves a request without an answer; its connection is cut in the end. */
export function hang(request: http.IncomingMessage): void {
  request.resume();
  const timer = setTimeout(() => request.socket.destroy(), silentMs);
  request.socket.once('close', () => clearTimeout(timer));
}

/** @returns whether the request is to be carried out; if not, nothing more is to be done with it. */
export function isCarriedOut(request: http.IncomingMessage, fate: Fate): boolean {
  if (fate.kind === 'silent') hang(request);
  if (fate.kind === 'cut') request.socket.destroy();
  return fate.kind === 'done' || fate.kind === 'lost';
}
