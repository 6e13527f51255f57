/**
 * Azure's name servers. The public one is authoritative for the vendor's zones. Each site's virtual network has a resolver that
 * also sees the private zones linked to a network of that site, and asks the public resolver for all else.
 */
import * as dgram from 'node:dgram';
import * as packet from 'dns-packet';
import * as net from 'node:net';
import { outside, plan, ports, regionOf, sites, type Site } from '../world';
import type { ContextFactory } from './context';
import { parseId } from './id';
import type { ArmResource, Json, PublicName } from './kind';
import { linkType, recordMembers, recordSetType, type RecordType } from './kinds/privatedns';
import { findKind } from './registry';
import type { Store } from './store';

/** Zones of the vendor; private-link style names below them are looked up the same way. */
const publicZones = [
  'postgres.database.azure.com',
  'database.windows.net',
  'azurecontainerapps.io',
  'blob.core.windows.net',
  'cloudapp.azure.com',
  'microsoftonline.com',
  'management.azure.com',
];
/** The vendor's own services, by the names that its clients have built in. */
const services: readonly PublicName[] = [
  { name: 'login.microsoftonline.com', type: 'A', data: outside.login },
  { name: 'management.azure.com', type: 'A', data: outside.arm },
];
const publicTtl = 30;
/** A UDP answer without EDNS; longer ones are cut and asked again over TCP. */
const plainUdpSize = 512;
const longestChain = 8;

interface Answers {
  readonly rcode: 'NOERROR' | 'NXDOMAIN' | 'REFUSED' | 'SERVFAIL';
  readonly answers: readonly packet.Answer[];
  readonly authorities: readonly packet.Answer[];
  readonly authoritative: boolean;
}

const within = (name: string, zone: string) => name === zone || name.endsWith('.' + zone);
const codes = { NOERROR: 0, SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 } as const;
const failed: Answers = { rcode: 'SERVFAIL', answers: [], authorities: [], authoritative: false };

const soaOf = (zone: string, data: Partial<packet.SoaData> = {}): packet.Answer => ({
  name: zone,
  type: 'SOA',
  ttl: 300,
  data: {
    mname: `ns1.${zone}`,
    rname: 'azuredns-hostmaster.microsoft.com',
    serial: 1,
    refresh: 3600,
    retry: 300,
    expire: 2419200,
    minimum: 10,
    ...data,
  },
});

type Convert = (data: Json) => unknown;
const perRecord: Readonly<Record<Exclude<RecordType, 'SOA' | 'CNAME'>, Convert>> = {
  A: (data) => data['ipv4Address'],
  AAAA: (data) => data['ipv6Address'],
  MX: (data) => ({ preference: data['preference'], exchange: data['exchange'] }),
  PTR: (data) => data['ptrdname'],
  SRV: (data) => ({ priority: data['priority'], weight: data['weight'], port: data['port'], target: data['target'] }),
  TXT: (data) => data['value'],
};

/** The records of a stored record set. */
function recordsOf(set: ArmResource, name: string): packet.Answer[] {
  const type = set.type.split('/').at(-1) as RecordType;
  const ttl = Number(set.properties['ttl']);
  const data = set.properties[recordMembers[type]];
  if (type === 'CNAME') return [{ name, type, ttl, data: String((data as Json)['cname']).replace(/\.$/, '') }];
  if (type === 'SOA') return [];
  return (data as readonly Json[]).map((each) => ({ name, type, ttl, data: perRecord[type](each) }) as packet.Answer);
}

export class AzureNames {
  constructor(
    private readonly store: Store,
    private readonly context: ContextFactory,
  ) {}

  private publicNames(): readonly PublicName[] {
    const ofResources = this.store.list().flatMap((resource) => {
      const id = parseId(resource.id);
      return (id && findKind(id.type)?.publicNames?.(this.context(id), resource)) ?? [];
    });
    return [...services, ...ofResources];
  }

  /** Ids of the private zones that a network of the site is linked to, by zone name. */
  private privateZones(site: Site): ReadonlyMap<string, string> {
    const zones = new Map<string, string>();
    for (const link of this.store.list(linkType)) {
      const network = this.store.get(String((link.properties['virtualNetwork'] as Json | undefined)?.['id']));
      const zone = link.id.split('/').slice(0, -2).join('/');
      if (network?.location === regionOf[site] && this.store.get(zone))
        zones.set(zone.split('/').at(-1)?.toLowerCase() ?? '', zone);
    }
    return zones;
  }

  private inPrivateZone(zoneId: string, zone: string, name: string, type: string): Answers {
    const relative = name === zone ? '@' : name.slice(0, -zone.length - 1);
    const wild = relative.replace(/^[^.]+/, '*');
    const sets = (Object.keys(recordMembers) as RecordType[]).flatMap((each) =>
      this.store.list(recordSetType(each), zoneId),
    );
    const named = (label: string) => sets.filter((set) => set.name.toLowerCase() === label);
    const matching = named(relative).length > 0 ? named(relative) : named(wild);
    const records = matching.flatMap((set) => recordsOf(set, name));
    const answers = records.filter((record) => record.type === type || record.type === 'CNAME');
    const exists =
      relative === '@' || records.length > 0 || sets.some((set) => set.name.toLowerCase().endsWith('.' + relative));
    const soa = soaOf(zone, { mname: 'azureprivatedns.net', rname: 'azureprivatedns-host.microsoft.com' });
    return this.authoritative(zone, answers, exists, type, soa);
  }

  private inPublicZone(zone: string, name: string, type: string): Answers {
    const records = this.publicNames().filter((each) => each.name.toLowerCase() === name);
    const answers = records
      .filter((each) => each.type === type || each.type === 'CNAME')
      .map((each): packet.Answer => ({ name, type: each.type, ttl: publicTtl, data: each.data }));
    const below = this.publicNames().some((each) => each.name.toLowerCase().endsWith('.' + name));
    return this.authoritative(zone, answers, name === zone || records.length > 0 || below, type, soaOf(zone));
  }

  private authoritative(
    zone: string,
    answers: readonly packet.Answer[],
    exists: boolean,
    type: string,
    soa: packet.Answer,
  ): Answers {
    if (answers.length === 0 && type === 'SOA' && soa.name === zone && exists) {
      return { rcode: 'NOERROR', answers: [soa], authorities: [], authoritative: true };
    }
    const authorities = answers.length === 0 ? [soa] : [];
    return { rcode: exists ? 'NOERROR' : 'NXDOMAIN', answers, authorities, authoritative: true };
  }

  /**
   * @param site whose virtual network asks; undefined = the vendor's public name server
   * @returns the answer with its CNAME chain followed as far as this server can
   */
  async resolve(name: string, type: string, site: Site | undefined, chain = 0): Promise<Answers> {
    const found = await this.lookUp(name.toLowerCase().replace(/\.$/, ''), type, site);
    const last = found.answers.at(-1);
    if (!last || last.type !== 'CNAME' || type === 'CNAME' || !found.authoritative) return found;
    if (chain >= longestChain) return failed;
    const next = await this.resolve(last.data, type, site, chain + 1);
    if (next.rcode === 'REFUSED') return found;
    return { ...next, answers: [...found.answers, ...next.answers] };
  }

  private async lookUp(name: string, type: string, site: Site | undefined): Promise<Answers> {
    if (site) {
      const zones = this.privateZones(site);
      const zone = [...zones.keys()]
        .filter((each) => within(name, each))
        .sort((one, other) => other.length - one.length)[0];
      if (zone !== undefined) return this.inPrivateZone(zones.get(zone) as string, zone, name, type);
    }
    const zone = publicZones.find((each) => within(name, each));
    if (zone) return this.inPublicZone(zone, name, type);
    return site ? forward(name, type) : { rcode: 'REFUSED', answers: [], authorities: [], authoritative: false };
  }
}

/** Asks the internet's resolver: over UDP, and again over TCP when the answer was cut. */
async function forward(name: string, type: string): Promise<Answers> {
  const query: packet.Packet = {
    type: 'query',
    id: Math.floor(Math.random() * 65536),
    flags: packet.RECURSION_DESIRED,
    questions: [{ type: type as packet.RecordType, name }],
  };
  try {
    const first = await askUdp(packet.encode(query));
    const reply = first.flag_tc ? await askTcp(packet.streamEncode(query)) : first;
    const rcode = (reply as { readonly rcode?: string }).rcode;
    return {
      rcode: rcode === 'NXDOMAIN' || rcode === 'NOERROR' ? rcode : 'SERVFAIL',
      answers: reply.answers ?? [],
      authorities: reply.authorities ?? [],
      authoritative: false,
    };
  } catch {
    return failed;
  }
}

const patienceMs = 2_000;

function askUdp(query: Buffer): Promise<packet.DecodedPacket> {
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket('udp4');
    const timer = setTimeout(() => socket.close(() => reject(new Error('no answer'))), patienceMs);
    socket.once('error', reject);
    socket.once('message', (message) => {
      clearTimeout(timer);
      socket.close(() => resolve(packet.decode(message)));
    });
    socket.send(query, ports.dns, outside.publicDns);
  });
}

function askTcp(query: Buffer): Promise<packet.DecodedPacket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: outside.publicDns, port: ports.dns, timeout: patienceMs }, () =>
      socket.write(query),
    );
    let received = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      socket.destroy();
      resolve(packet.decode(received.subarray(2)));
    });
    socket.once('timeout', () => socket.destroy(new Error('no answer')));
    socket.once('error', reject);
  });
}

async function reply(names: AzureNames, site: Site | undefined, message: Buffer): Promise<packet.Packet | undefined> {
  let query: packet.DecodedPacket;
  try {
    query = packet.decode(message);
  } catch {
    return undefined; // noise: a name server does not answer it
  }
  const [question] = query.questions ?? [];
  if (query.type !== 'query' || !question) return undefined;
  const result = await names.resolve(question.name, question.type, site);
  const flags =
    (result.authoritative ? packet.AUTHORITATIVE_ANSWER : 0) |
    (query.flag_rd ? packet.RECURSION_DESIRED : 0) |
    (site ? packet.RECURSION_AVAILABLE : 0) |
    codes[result.rcode];
  return {
    type: 'response',
    id: query.id as number,
    flags,
    questions: [question],
    answers: [...result.answers],
    authorities: [...result.authorities],
  };
}

function sizeLimit(message: Buffer): number {
  const options = packet.decode(message).additionals?.find((each) => each.type === 'OPT') as
    { readonly udpPayloadSize?: number } | undefined;
  return Math.max(plainUdpSize, Math.min(options?.udpPayloadSize ?? 0, 1232));
}

async function serveUdp(names: AzureNames, site: Site | undefined, host: string): Promise<() => void> {
  const socket = dgram.createSocket('udp4');
  socket.on('message', (message, peer) => {
    void reply(names, site, message).then((answer) => {
      if (!answer) return;
      const full = packet.encode(answer);
      const cut = { ...answer, flags: (answer.flags ?? 0) | packet.TRUNCATED_RESPONSE, answers: [], authorities: [] };
      socket.send(full.length > sizeLimit(message) ? packet.encode(cut) : full, peer.port, peer.address);
    });
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(ports.dns, host, resolve);
  });
  return () => socket.close();
}

async function serveTcp(names: AzureNames, site: Site | undefined, host: string): Promise<() => void> {
  const server = net.createServer((socket) => {
    let received = Buffer.alloc(0);
    socket.setTimeout(10_000, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const end = 2 + received.readUInt16BE(0);
        const message = received.subarray(2, end);
        received = received.subarray(end);
        void reply(names, site, message).then((answer) => answer && socket.write(packet.streamEncode(answer)));
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(ports.dns, host, resolve);
  });
  return () => server.close();
}

/** Starts the public name server and both virtual networks' resolvers. @returns what stops them */
export async function serveDns(names: AzureNames): Promise<() => void> {
  const servers: readonly (readonly [Site | undefined, string])[] = [
    [undefined, outside.azureDns],
    ...sites.map((site) => [site, plan[site].resolver] as const),
  ];
  const stops = await Promise.all(
    servers.flatMap(([site, host]) => [serveUdp(names, site, host), serveTcp(names, site, host)]),
  );
  return () => stops.forEach((stop) => stop());
}
