/** The records of one zone: what may stand beside what, and changes that are made together or not at all. */
import { invalid, missing } from './fault';
import { makeRecord, parseBody, patched } from './record-rules';
import type { DnsRecord, Zone } from './state';

/** What the vendor's free plan allows. */
const quota = { batch: 200, zone: 1000 };

/** Identical: what DNS itself could not tell apart. */
const sameValue = (a: DnsRecord, b: DnsRecord) => a.content === b.content && a.priority === b.priority;

function checkBeside(record: DnsRecord, other: DnsRecord): void {
  const types = [record.type, other.type];
  if (record.type === other.type && sameValue(record, other))
    throw invalid(81058, 'An identical record already exists.');
  if (record.type === 'CNAME' && ['A', 'AAAA', 'CNAME'].includes(other.type))
    throw invalid(81053, 'An A, AAAA, or CNAME record with that host already exists.');
  if (other.type === 'CNAME') throw invalid(81054, 'A CNAME record with that host already exists.');
  if (record.type === 'CNAME')
    throw invalid(81055, 'A DNS record with that host already exists; a CNAME stands alone.');
  if (types.includes('NS') && record.type !== other.type)
    throw invalid(81056, 'NS records with that host already exist.');
}

/** A draft of a zone's records. Only `records` of a draft that went through to its end is put in force. */
export class RecordSet {
  private readonly byId: Map<string, DnsRecord>;

  constructor(
    private readonly zone: Zone,
    records: Readonly<Record<string, DnsRecord>>,
  ) {
    this.byId = new Map(Object.entries(records));
  }

  get records(): Record<string, DnsRecord> {
    return Object.fromEntries(this.byId);
  }

  get(id: string): DnsRecord {
    const record = this.byId.get(id);
    if (!record) throw missing.record();
    return record;
  }

  create(body: unknown): DnsRecord {
    if (this.byId.size >= quota.zone) throw invalid(81045, 'Record quota exceeded.');
    return this.put(makeRecord(this.zone, parseBody(body)));
  }

  overwrite(id: string, body: unknown): DnsRecord {
    return this.put(makeRecord(this.zone, parseBody(body), this.get(id)));
  }

  patch(id: string, body: unknown): DnsRecord {
    const earlier = this.get(id);
    return this.put(makeRecord(this.zone, patched(earlier, body), earlier));
  }

  remove(id: string): DnsRecord {
    const record = this.get(id);
    this.byId.delete(id);
    return record;
  }

  /** The vendor's order: deletes, patches, puts, posts. The first fault ends it. */
  batch(body: unknown): Record<'deletes' | 'patches' | 'puts' | 'posts', DnsRecord[]> {
    const list = (member: string): { id: string }[] => {
      const value = (body as Record<string, unknown> | null)?.[member] ?? [];
      if (!Array.isArray(value)) throw invalid(9207, `Request body is invalid: ${member}: expected an array.`);
      return value as { id: string }[];
    };
    const [deletes, patches, puts, posts] = [list('deletes'), list('patches'), list('puts'), list('posts')];
    const changes = deletes.length + patches.length + puts.length + posts.length;
    if (changes > quota.batch)
      throw invalid(9306, `DNS record batch has ${changes} changes, exceeding the quota of ${quota.batch}.`);
    return {
      deletes: deletes.map(({ id }) => this.remove(id)),
      patches: patches.map((change) => this.patch(change.id, change)),
      puts: puts.map((change) => this.overwrite(change.id, change)),
      posts: posts.map((change) => this.create(change)),
    };
  }

  private put(record: DnsRecord): DnsRecord {
    for (const other of this.byId.values()) {
      if (other.id !== record.id && other.name === record.name) checkBeside(record, other);
    }
    this.byId.set(record.id, record);
    return record;
  }
}
