/**
 * The internet's resolver: answers for the vendor's own zones, asks Azure's name servers for Azure's public names, and knows
 * nothing else.
 */
import * as dns from 'dns-packet';
import * as dgram from 'node:dgram';
import * as net from 'node:net';
import { outside, ports } from '../world';
import { lookup } from './answers';
import type { Names } from './names';
import { nameServers } from './state';

const azureSuffixes = [
  'azure.com',
  'azure.net',
  'windows.net',
  'azurecontainerapps.io',
  'azmk8s.io',
  'microsoftonline.com',
  'microsoft.com',
];
const forwardTimeoutMs = 2000;

export interface Resolution {
  readonly rcode: 'NOERROR' | 'NXDOMAIN' | 'SERVFAIL' | 'REFUSED';
  readonly answers: readonly dns.Answer[];
  readonly authorities: readonly dns.Answer[];
  readonly authoritative: boolean;
}

const empty = (rcode: Resolution['rcode']): Resolution => ({
  rcode,
  answers: [],
  authorities: [],
  authoritative: false,
});
const isAzure = (name: string) => azureSuffixes.some((suffix) => name === suffix || name.endsWith(`.${suffix}`));

export class Resolver {
  constructor(private readonly names: Names) {}

  /** @param recursive what leads out of the zones is followed too. Without it the answer is ready at once. */
  resolve(question: string, type: string, recursive: boolean): Resolution | Promise<Resolution> {
    const name = question.toLowerCase();
    if (type === 'ANY' || type === 'AXFR' || type === 'IXFR') return empty('REFUSED');
    const own = lookup(this.names, name, type);
    if (!own) return recursive ? this.outsideOf(name, type) : empty('REFUSED');
    if (own.leadsTo === undefined || !recursive) return own;
    return this.follow(own, own.leadsTo, type, name);
  }

  /** @returns IPv4 addresses of a host; none when it has none. */
  async addresses(name: string): Promise<string[]> {
    const { answers } = await this.resolve(name, 'A', true);
    return answers.flatMap((answer) => (answer.type === 'A' ? [answer.data] : []));
  }

  private async follow(own: Resolution, target: string, type: string, name: string): Promise<Resolution> {
    const rest = await this.outsideOf(target, type);
    if (own.answers.length > 0) return { ...own, rcode: rest.rcode, answers: [...own.answers, ...rest.answers] };
    const flattened = rest.answers.filter((answer) => answer.type === type).map((answer) => ({ ...answer, name }));
    return flattened.length > 0 ? { ...own, answers: flattened, authorities: [] } : own;
  }

  private outsideOf(name: string, type: string): Resolution | Promise<Resolution> {
    if ((nameServers as readonly string[]).includes(name)) {
      const address: dns.Answer = { name, type: 'A', class: 'IN', ttl: 86_400, data: outside.publicDns };
      return { ...empty('NOERROR'), answers: type === 'A' ? [address] : [] };
    }
    return isAzure(name) ? forward(name, type) : empty('NXDOMAIN');
  }
}

/** Asks Azure's name servers; over TCP when the answer does not fit. */
async function forward(name: string, type: string): Promise<Resolution> {
  const query: dns.Packet = {
    type: 'query',
    id: Math.floor(Math.random() * 65_536),
    flags: dns.RECURSION_DESIRED,
    questions: [{ type: type as dns.RecordType, class: 'IN', name }],
  };
  try {
    const short = await overUdp(query);
    const packet = short.flag_tc ? await overTcp(query) : short;
    const rcode = packet.rcode as Resolution['rcode'];
    return { rcode, answers: packet.answers ?? [], authorities: packet.authorities ?? [], authoritative: false };
  } catch {
    return empty('SERVFAIL');
  }
}

type Decoded = dns.DecodedPacket & { readonly rcode: string };

function overUdp(query: dns.Packet): Promise<Decoded> {
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket('udp4');
    const end = (act: () => void) => {
      clearTimeout(timer);
      socket.close();
      act();
    };
    const timer = setTimeout(() => end(() => reject(new Error('timeout'))), forwardTimeoutMs);
    socket.once('error', (cause) => end(() => reject(cause)));
    socket.on('message', (bytes) => {
      const packet = decode(bytes);
      if (packet && packet.id === query.id) end(() => resolve(packet));
    });
    // A port where nobody listens is told to a connected socket only.
    socket.connect(ports.dns, outside.azureDns, () => socket.send(dns.encode(query)));
  });
}

function overTcp(query: dns.Packet): Promise<Decoded> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(ports.dns, outside.azureDns, () => socket.write(dns.streamEncode(query)));
    const chunks: Buffer[] = [];
    socket.setTimeout(forwardTimeoutMs, () => socket.destroy(new Error('timeout')));
    socket.once('error', reject).once('close', () => reject(new Error('closed')));
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      const bytes = Buffer.concat(chunks);
      if (bytes.length < 2 || bytes.length < bytes.readUInt16BE(0) + 2) return;
      const packet = decode(bytes.subarray(2));
      if (packet) resolve(packet);
      socket.destroy();
    });
  });
}

function decode(bytes: Buffer): Decoded | undefined {
  try {
    return dns.decode(bytes) as Decoded;
  } catch {
    return undefined;
  }
}
