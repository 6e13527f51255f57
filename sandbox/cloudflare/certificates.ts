/** The edge's certificates: one per proxied host, made when its record is, so that the first visitor does not wait for it. */
import * as tls from 'node:tls';
import { issue } from '../authority';
import type { Names } from './names';

export class Certificates {
  private readonly contexts = new Map<string, Promise<tls.SecureContext>>();

  constructor(private readonly names: Names) {}

  /** Makes those that are missing; a failure shows when the host is asked for. */
  prepare(): void {
    for (const name of this.names.proxiedNames()) void this.contextOf(name).catch(() => undefined);
  }

  /** @returns undefined for a host that is not proxied: the edge has no certificate for it. */
  find(host: string): Promise<tls.SecureContext> | undefined {
    const proxied = this.names.find(host)?.records.some((record) => record.proxied) ?? false;
    return proxied ? this.contextOf(host) : undefined;
  }

  private contextOf(name: string): Promise<tls.SecureContext> {
    const known = this.contexts.get(name);
    if (known) return known;
    const made = issue([name]).then((certificate) => tls.createSecureContext(certificate));
    this.contexts.set(name, made);
    made.catch(() => this.contexts.delete(name));
    return made;
  }
}
