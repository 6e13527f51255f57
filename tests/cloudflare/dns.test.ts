import { expect } from 'chai';
import * as dns from 'dns-packet';
import { execFile } from 'node:child_process';
import * as dgram from 'node:dgram';
import * as net from 'node:net';
import { promisify } from 'node:util';
import { CloudflareWorld } from './service';

describe('cloudflare DNS', function () {
  this.timeout(20_000);
  const world = new CloudflareWorld(204);
  const { outside, ports } = world.world;
  let azureDns: dgram.Socket;

  before(async () => {
    await world.start();
    const zone_id = await world.zoneId();
    const record = (name: string, type: string, content: string, more: Record<string, unknown> = {}) => ({
      name: `${name}.moodtalk.ch`.replace(/^@\./, ''),
      type,
      content,
      ttl: 1,
      ...more,
    });
    const big = Array.from({ length: 40 }, (_, n) => record('big', 'A', `127.0.7.${n}`));
    await world.client().dns.records.batch({
      zone_id,
      posts: [
        record('admin', 'A', '127.0.10.140', { proxied: true }),
        record('direct', 'A', '127.0.10.141', { ttl: 60 }),
        record('alias', 'CNAME', 'direct.moodtalk.ch'),
        record('far', 'CNAME', 'server.postgres.database.azure.com'),
        record('a.b.c', 'A', '127.0.10.142'),
        record('*.wild', 'A', '127.0.10.143'),
        record('taken.wild', 'TXT', 'here'),
        record('sub', 'NS', 'ns.elsewhere.example'),
        record('@', 'MX', 'mx.example', { priority: 5 }),
        record('txt', 'TXT', 'x'.repeat(300)),
        ...big,
      ] as never,
    });
    azureDns = dgram.createSocket('udp4');
    azureDns.on('message', (bytes, from) => {
      const { id, questions = [] } = dns.decode(bytes);
      const name = questions[0]?.name ?? '';
      const found = name.startsWith('server.');
      const answers = found ? [{ name, type: 'A' as const, ttl: 30, data: '127.0.10.10' }] : [];
      const flags = dns.RECURSION_AVAILABLE | (found ? 0 : 3);
      azureDns.send(dns.encode({ type: 'response', id: id ?? 0, flags, questions, answers }), from.port, from.address);
    });
    await new Promise<void>((resolve) => azureDns.bind(ports.dns, outside.azureDns, resolve));
  });
  after(async () => {
    azureDns.close();
    await world.remove();
  });

  /** @returns status, then one `TTL TYPE DATA` per answer; `SOA` when the authority section has one. */
  const dig = async (...args: string[]) => {
    const server = [`@${outside.publicDns}`, '-p', String(ports.dns), '+tries=1', '+time=3'];
    const text = (await promisify(execFile)('dig', [...server, ...args])).stdout;
    const section = (name: string) =>
      new RegExp(`;; ${name} SECTION:\\n([\\s\\S]*?)\\n\\n`).exec(text)?.[1]?.split('\n') ?? [];
    const answers = section('ANSWER').map((line) =>
      line
        .split(/\s+/)
        .filter((word) => word !== 'IN')
        .slice(1)
        .join(' '),
    );
    const authority = section('AUTHORITY').map((line) => line.split(/\s+/)[3] ?? '');
    return [/status: (\w+)/.exec(text)?.[1], ...answers, ...authority];
  };

  const cases: readonly [what: string, question: string[], answer: (string | undefined)[]][] = [
    ['a proxied name is the edge', ['admin.moodtalk.ch'], ['NOERROR', `300 A ${outside.edge}`]],
    ['over TCP and in any case', ['+tcp', 'ADMIN.MoodTalk.ch'], ['NOERROR', `300 A ${outside.edge}`]],
    ['a proxied name has no IPv6 address', ['admin.moodtalk.ch', 'AAAA'], ['NOERROR', 'SOA']],
    ['a DNS-only name is what it says', ['direct.moodtalk.ch'], ['NOERROR', '60 A 127.0.10.141']],
    ['an alias is followed', ['alias.moodtalk.ch'], ['NOERROR', '300 CNAME direct.moodtalk.ch.', '60 A 127.0.10.141']],
    [
      'an alias that leads to Azure is followed',
      ['far.moodtalk.ch'],
      ['NOERROR', '300 CNAME server.postgres.database.azure.com.', '30 A 127.0.10.10'],
    ],
    [
      'not without recursion',
      ['+norecurse', 'far.moodtalk.ch'],
      ['NOERROR', '300 CNAME server.postgres.database.azure.com.'],
    ],
    ['an unknown name', ['nothing.moodtalk.ch'], ['NXDOMAIN', 'SOA']],
    ['a name that only has names below it', ['b.c.moodtalk.ch'], ['NOERROR', 'SOA']],
    ['a wildcard', ['any.thing.wild.moodtalk.ch'], ['NOERROR', '300 A 127.0.10.143']],
    ['a wildcard gives way to a name that is there', ['taken.wild.moodtalk.ch'], ['NOERROR', 'SOA']],
    ['a delegation', ['www.sub.moodtalk.ch'], ['NOERROR', 'NS']],
    [
      "the zone's name servers",
      ['moodtalk.ch', 'NS'],
      ['NOERROR', '86400 NS ada.ns.cloudflare.com.', '86400 NS lee.ns.cloudflare.com.'],
    ],
    ["the zone's mail", ['moodtalk.ch', 'MX'], ['NOERROR', '300 MX 5 mx.example.']],
    [
      'a long text in parts',
      ['txt.moodtalk.ch', 'TXT'],
      ['NOERROR', `300 TXT "${'x'.repeat(255)}" "${'x'.repeat(45)}"`],
    ],
    ['everything', ['moodtalk.ch', 'ANY'], ['REFUSED']],
    ['a public name of Azure', ['server.postgres.database.azure.com'], ['NOERROR', '30 A 127.0.10.10']],
    ['an unknown name of Azure', ['x.postgres.database.azure.com'], ['NXDOMAIN']],
    ['anybody else', ['example.com'], ['NXDOMAIN']],
  ];
  for (const [what, question, answer] of cases)
    it(what, async () => {
      expect(await dig(...question)).to.deep.equal(answer);
    });

  it('says that an answer does not fit, and gives it whole where it does', async () => {
    expect(await dig('+noedns', '+ignore', 'big.moodtalk.ch')).to.deep.equal(['NOERROR']);
    expect(await dig('+noedns', 'big.moodtalk.ch')).to.have.length(41);
    expect(await dig('+bufsize=4096', '+ignore', 'big.moodtalk.ch')).to.have.length(41);
  });

  it('survives whatever it is sent', async () => {
    const good = dns.encode({ type: 'query', id: 7, questions: [{ type: 'A', name: 'direct.moodtalk.ch' }] });
    const looped = Buffer.concat([good.subarray(0, 12), Buffer.from([0xc0, 12, 0, 1, 0, 1])]);
    const bad = [Buffer.alloc(0), Buffer.from('x'), good.subarray(0, 15), looped, Buffer.alloc(600, 0xff)];
    for (let n = 0; n < 300; n += 1) {
      const bytes = Buffer.from(good);
      for (let k = 0; k < 4; k += 1) bytes[(n * 7 + k * 13) % bytes.length] = (n * 31 + k * 101) % 256;
      bad.push(bytes);
    }
    const udp = dgram.createSocket('udp4');
    for (const bytes of bad) udp.send(bytes, ports.dns, outside.publicDns);
    const reply = await new Promise<Buffer>((resolve) => {
      udp.on('message', (bytes) => bytes.readUInt16BE(0) === 9 && resolve(bytes));
      const last = Buffer.from(good);
      last.writeUInt16BE(9, 0);
      udp.send(last, ports.dns, outside.publicDns);
    });
    udp.close();
    expect(dns.decode(reply).answers).to.have.length(1);
    const tcp = net.connect(ports.dns, outside.publicDns);
    tcp.write(Buffer.concat([Buffer.from([0, 5]), Buffer.alloc(5, 0xff), dns.streamEncode(dns.decode(good))]));
    const [bytes] = (await new Promise<Buffer[]>((resolve) => tcp.once('data', (data: Buffer) => resolve([data])))) as [
      Buffer,
    ];
    tcp.destroy();
    expect(dns.streamDecode(bytes)?.answers).to.have.length(1);
  });
});
