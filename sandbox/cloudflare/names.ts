/** The names of all active zones in memory: what stands at a name, with wildcards, empty names and delegations (RFC 1034, 4592). */
import type { DnsRecord, State, Zone } from './state';

export interface Found {
  readonly zone: Zone;
  /** Seconds since 1970 of the last change. */
  readonly serial: number;
  /** What stands at the name, perhaps through a wildcard; nothing when the name only has names below it. */
  readonly records: readonly DnsRecord[];
  readonly exists: boolean;
  /** NS records of a cut between the zone and the name: somebody else is to be asked. */
  readonly delegation?: readonly DnsRecord[];
}

export class Names {
  private zones = new Map<string, Zone>();
  private records = new Map<string, DnsRecord[]>();
  /** Every name that has records, and those above it up to its zone. */
  private existing = new Set<string>();
  private serial = 0;

  load(state: State): void {
    this.zones = new Map();
    this.records = new Map();
    this.existing = new Set();
    this.serial = Math.max(this.serial + 1, Math.floor(Date.now() / 1000));
    for (const zone of Object.values(state.zones).filter(({ status }) => status === 'active')) {
      this.zones.set(zone.name, zone);
      this.existing.add(zone.name);
      for (const record of Object.values(state.records[zone.id] ?? {})) this.add(zone, record);
    }
  }

  private add(zone: Zone, record: DnsRecord): void {
    const held = zone.paused ? { ...record, proxied: false } : record;
    this.records.set(record.name, [...(this.records.get(record.name) ?? []), held]);
    for (let name = record.name; name !== zone.name && !this.existing.has(name); name = parent(name))
      this.existing.add(name);
  }

  /** Complete names with a proxied record; wildcards too. */
  proxiedNames(): string[] {
    return [...this.records].filter(([, records]) => records.some(({ proxied }) => proxied)).map(([name]) => name);
  }

  /** @param name lower case, no dot at its end. @returns undefined when it is in none of the zones. */
  find(name: string): Found | undefined {
    const zone = this.zoneOf(name);
    if (!zone) return undefined;
    const base = { zone, serial: this.serial };
    for (let above = name; above !== zone.name; above = parent(above)) {
      const cut = this.records.get(above)?.filter(({ type }) => type === 'NS');
      if (cut?.length) return { ...base, records: [], exists: true, delegation: cut };
    }
    if (this.existing.has(name)) return { ...base, records: this.records.get(name) ?? [], exists: true };
    let encloser = parent(name);
    while (!this.existing.has(encloser)) encloser = parent(encloser);
    const wild = this.records.get(`*.${encloser}`);
    return { ...base, records: wild ?? [], exists: wild !== undefined };
  }

  private zoneOf(name: string): Zone | undefined {
    for (let above = name; above !== ''; above = parent(above)) {
      const zone = this.zones.get(above);
      if (zone) return zone;
    }
    return undefined;
  }
}

/** @returns the name without its first label; empty at the root. */
function parent(name: string): string {
  const dot = name.indexOf('.');
  return dot < 0 ? '' : name.slice(dot + 1);
}
