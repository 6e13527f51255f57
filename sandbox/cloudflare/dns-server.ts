/** DNS over UDP and TCP (RFC 1035, 6891, 7766). Whatever arrives, it answers or keeps silent; it never ends. */
import * as dns from 'dns-packet';
import * as dgram from 'node:dgram';
import * as net from 'node:net';
import type { Resolution, Resolver } from './resolver';

const rcodes = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const;
const headerBytes = 12;
const classicBytes = 512;
const ownBytes = 1232;
const idleMs = 10_000;

interface Reply {
  readonly packet: dns.Packet;
  /** The most the asker takes over UDP. */
  readonly maxBytes: number;
}

type Opt = dns.OptAnswer & { readonly ednsVersion?: number };

/** @returns a reply that needs only the header of what could not be read; undefined for what is no query. */
function unreadable(bytes: Buffer): Reply | undefined {
  if (bytes.length < headerBytes || bytes.readUInt8(2) & 0x80) return undefined;
  return { packet: { type: 'response', id: bytes.readUInt16BE(0), flags: rcodes.FORMERR }, maxBytes: classicBytes };
}

function decoded(bytes: Buffer): dns.DecodedPacket | undefined {
  try {
    return dns.decode(bytes);
  } catch {
    return undefined;
  }
}

export class DnsServer {
  constructor(private readonly resolver: Resolver) {}

  /** Resolves when both sockets are bound. */
  async listen(host: string, port: number): Promise<void> {
    await Promise.all([this.listenUdp(host, port), this.listenTcp(host, port)]);
  }

  private listenUdp(host: string, port: number): Promise<void> {
    const socket = dgram.createSocket({ type: 'udp4', recvBufferSize: 1024 ** 2 });
    socket.on('message', (bytes, from) => {
      this.reply(bytes, ({ packet, maxBytes }) => {
        const full = dns.encode(packet);
        socket.send(full.length <= maxBytes ? full : dns.encode(truncated(packet)), from.port, from.address);
      });
    });
    return new Promise((resolve, reject) => {
      socket.once('error', reject).bind(port, host, () => {
        socket.removeListener('error', reject).on('error', (cause) => console.error(`dns: ${cause.message}`));
        resolve();
      });
    });
  }

  private listenTcp(host: string, port: number): Promise<void> {
    const server = net.createServer((socket) => {
      let rest: Buffer = Buffer.alloc(0);
      socket.setTimeout(idleMs, () => socket.destroy()).on('error', () => socket.destroy());
      socket.on('data', (chunk: Buffer) => {
        rest = Buffer.concat([rest, chunk]);
        while (rest.length >= 2 && rest.length >= rest.readUInt16BE(0) + 2) {
          const end = rest.readUInt16BE(0) + 2;
          this.reply(rest.subarray(2, end), ({ packet }) => socket.writable && socket.write(dns.streamEncode(packet)));
          rest = rest.subarray(end);
        }
      });
    });
    return new Promise((resolve, reject) => {
      server.once('error', reject).listen(port, host, resolve);
    });
  }

  private reply(bytes: Buffer, send: (reply: Reply) => void): void {
    const attempt = (reply: Reply | undefined) => {
      try {
        if (reply) send(reply);
      } catch {
        // A name that can be read but not written again: there is no answer to it.
        const { packet } = unreadable(bytes) ?? {};
        if (packet) send({ packet, maxBytes: classicBytes });
      }
    };
    const query = decoded(bytes);
    if (query?.type === 'response') return;
    const reply = query ? this.answer(query) : unreadable(bytes);
    if (reply instanceof Promise) void reply.then(attempt);
    else attempt(reply);
  }

  private answer(query: dns.DecodedPacket): Reply | Promise<Reply> {
    const opt = query.additionals?.find((record): record is Opt => record.type === 'OPT');
    const question = query.questions?.[0];
    const recursive = query.flag_rd;
    const make = ({
      rcode,
      answers,
      authorities,
      authoritative,
    }: Omit<Resolution, 'rcode'> & { rcode: keyof typeof rcodes }): Reply => ({
      packet: {
        type: 'response',
        id: query.id ?? 0,
        flags:
          (authoritative ? dns.AUTHORITATIVE_ANSWER : 0) |
          (recursive ? dns.RECURSION_DESIRED : 0) |
          dns.RECURSION_AVAILABLE |
          rcodes[rcode],
        questions: query.questions ?? [],
        answers: [...answers],
        authorities: [...authorities],
        additionals: opt
          ? [{ type: 'OPT', name: '.', udpPayloadSize: ownBytes, flags: 0, options: [] } as unknown as dns.Answer]
          : [],
      },
      maxBytes: opt ? Math.max(classicBytes, opt.udpPayloadSize) : classicBytes,
    });
    const bare = (rcode: keyof typeof rcodes) => make({ rcode, answers: [], authorities: [], authoritative: false });
    if ((query as { opcode?: string }).opcode !== 'QUERY') return bare('NOTIMP');
    if (!question || query.questions?.length !== 1) return bare('FORMERR');
    if (question.class !== undefined && question.class !== 'IN') return bare('REFUSED');
    const resolution = this.resolver.resolve(question.name, question.type, recursive);
    return resolution instanceof Promise ? resolution.then(make) : make(resolution);
  }
}

/** Says that the rest is to be had over TCP. */
const truncated = (packet: dns.Packet): dns.Packet => ({
  ...packet,
  flags: (packet.flags ?? 0) | dns.TRUNCATED_RESPONSE,
  answers: [],
  authorities: [],
});
