import { expect } from 'chai';
import * as dgram from 'node:dgram';
import * as net from 'node:net';
import type { AddressInfo } from 'node:net';
import { decode, encode } from 'dns-packet';
import { reading } from '../../adapters/observe/reading';
import { untilGood } from '../../adapters/probe/checks';
import { addressesFrom } from '../../adapters/probe/names';
import { faultOf } from '../../adapters/probe/pages';
import { exchange } from '../../adapters/http';
import type { StandbyError } from '../../failover/errors';

const never = new AbortController().signal;

describe('adapters: probes', () => {
  it('look again until all is good', async () => {
    const said: string[] = [];
    let looks = 0;
    const late = async () => {
      looks += 1;
      if (looks < 3) throw new Error('not yet');
      return 'there';
    };
    const facts = await untilGood(
      [
        { name: 'late', look: late },
        { name: 'early', look: async () => 1 },
      ],
      5_000,
      { signal: never, progress: (message) => said.push(message) },
    );
    expect(facts).to.deep.equal({ late: 'there', early: 1 });
    expect(said).to.deep.equal(['late: not yet']);
  });

  it('say which host answered what when time is over, and may be tried again', async () => {
    const page = { host: 'api.example.org', name: 'api', status: 200, speaker: { site: 'prod', epoch: '1' } } as const;
    const look = async () => {
      const fault = faultOf(page, { site: 'intg', epoch: '1' });
      if (fault) throw new Error(fault);
      return null;
    };
    const failure = await untilGood([{ name: 'api.example.org', look }], 300, {
      signal: never,
      progress: () => undefined,
    }).catch((cause: StandbyError) => cause);
    expect(failure).to.include({ code: 'VerificationFailed', retryable: true });
    expect((failure as StandbyError).message).to.include('api.example.org answers from site prod, not intg');
  });

  it('hold a status against a page, and nothing that it does not say', () => {
    const page = { host: 'idp.example.org', name: 'idp', speaker: {} } as const;
    expect(faultOf({ ...page, status: 200 }, { site: 'intg', release: '1' })).to.equal(undefined);
    expect(faultOf({ ...page, status: 503 }, { site: 'intg' })).to.equal('idp.example.org answers 503');
  });

  it('end in time when what they look at never answers', async () => {
    const limits = { withinMs: 200, tries: 3, signal: never };
    const deaf = await reading(limits, () => new Promise<string>(() => undefined));
    expect(deaf).to.have.property('unknown', 'no answer within 0.2 s');
    const silent = net.createServer(() => undefined).listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.once('listening', resolve));
    const { port } = silent.address() as AddressInfo;
    const url = `https://127.0.0.1:${port}/`;
    const asked = await exchange(url, { signal: never, withinMs: 300 }).catch((cause: Error) => cause.message);
    expect(asked).to.equal('no answer within 0.3 s');
    silent.close();
  });

  it('look again as often as they may, and then say why', async () => {
    let looks = 0;
    const failing = (times: number) => () => {
      looks += 1;
      return looks <= times ? Promise.reject(new Error(`fault ${looks}`)) : Promise.resolve('seen');
    };
    const limits = { withinMs: 5_000, tries: 3, signal: never };
    expect(await reading(limits, failing(2))).to.have.property('value', 'seen');
    looks = 0;
    expect(await reading(limits, failing(3))).to.have.property('unknown', 'fault 3');
    looks = 0;
    expect(await reading({ ...limits, tries: 1 }, failing(1))).to.have.property('unknown', 'fault 1');
  });

  it('ask a resolver by UDP, by TCP when the answer is cut off, and say when it is silent', async () => {
    const udp = dgram.createSocket('udp4');
    await new Promise<void>((resolve) => udp.bind(0, '127.0.0.1', resolve));
    const { port } = udp.address();
    let silent = false;
    udp.on('message', (message, from) => {
      const { id = 0, questions = [] } = decode(message);
      // 0x8380: an answer, cut off.
      if (!silent) udp.send(encode({ type: 'response', id, questions, flags: 0x0380 }), from.port, from.address);
    });
    const tcp = net.createServer((socket) =>
      socket.once('data', (data) => {
        const { id = 0, questions = [] } = decode(data.subarray(2));
        const answers = [{ type: 'A' as const, name: 'api.example.org', ttl: 5, data: '192.0.2.7' }];
        const packet = encode({ type: 'response', id, questions, answers });
        socket.end(Buffer.concat([Buffer.from([packet.length >> 8, packet.length & 255]), packet]));
      }),
    );
    await new Promise<void>((resolve) => tcp.listen(port, '127.0.0.1', resolve));
    const resolver = `127.0.0.1:${port}`;
    expect(await addressesFrom(resolver, 'api.example.org', never, 5_000)).to.deep.equal(['192.0.2.7']);
    silent = true;
    const answer = await addressesFrom(resolver, 'other.example.org', never, 400).catch(
      (cause: Error) => cause.message,
    );
    expect(answer).to.equal('no answer within 0.4 s');
    udp.close();
    tcp.close();
  });
});
