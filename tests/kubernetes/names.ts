/** A DNS server with a fixed table, over UDP and TCP. */
import * as dgram from 'node:dgram';
import * as net from 'node:net';
import * as dnsPacket from 'dns-packet';

export class NameServer {
  /** Name → IPv4 addresses; a name in `silent` gets no answer at all, one in `long` is cut short over UDP. */
  readonly table = new Map<string, readonly string[]>();
  readonly silent = new Set<string>();
  readonly long = new Set<string>();
  readonly asked: { readonly name: string; readonly from: string; readonly over: 'udp' | 'tcp' }[] = [];
  private readonly sockets: { close(): unknown }[] = [];

  constructor(private readonly ttl = 30) {}

  /** May be called for several addresses. */
  async listen(address: string, port = 5353): Promise<void> {
    const udp = dgram.createSocket('udp4');
    udp.on('message', (message, from) => {
      const answer = this.answer(dnsPacket.decode(message), from.address, 'udp');
      if (answer) udp.send(dnsPacket.encode(answer), from.port, from.address);
    });
    const tcp = net.createServer((socket) => {
      socket.on('data', (message) => {
        const answer = this.answer(dnsPacket.streamDecode(message), socket.remoteAddress ?? '', 'tcp');
        if (answer) socket.end(dnsPacket.streamEncode(answer));
      });
    });
    this.sockets.push(udp, tcp);
    await new Promise<void>((resolve) => udp.bind(port, address, resolve));
    await new Promise<void>((resolve) => tcp.listen(port, address, resolve));
  }

  close(): void {
    for (const socket of this.sockets) socket.close();
  }

  private answer(query: dnsPacket.Packet, from: string, over: 'udp' | 'tcp'): dnsPacket.Packet | undefined {
    const [question] = query.questions ?? [];
    if (!question) return undefined;
    const { name } = question;
    this.asked.push({ name, from, over });
    if (this.silent.has(name)) return undefined;
    const found = question.type === 'A' ? this.table.get(name) : undefined;
    const cut = over === 'udp' && this.long.has(name);
    const noSuchName = 3;
    return {
      type: 'response',
      ...(query.id === undefined ? {} : { id: query.id }),
      flags: dnsPacket.AUTHORITATIVE_ANSWER | (cut ? dnsPacket.TRUNCATED_RESPONSE : 0) | (found ? 0 : noSuchName),
      questions: [question],
      answers: cut ? [] : (found ?? []).map((data) => ({ type: 'A' as const, name, ttl: this.ttl, data })),
    };
  }
}
