import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import { backup, optionsOf } from '../../bench/backup';
import type { Row } from '../../bench/report';

const leftovers = () => fs.readdirSync(os.tmpdir()).filter((name) => name.startsWith(`standby-bench-${process.pid}-`));

describe('npm run bench -- backup', function () {
  this.timeout(900_000);
  let rows: readonly Row[];

  before(async function () {
    if (spawnSync('pgbackrest', ['version']).error) this.skip();
    const [said, error] = [[] as string[], console.error];
    console.error = (line: string) => said.push(line);
    try {
      ({ rows } = await backup(['--sizes', '0.008,0.004', '--databases', '2', '--rounds', '1']));
    } catch (cause) {
      throw new Error(`after "${said.at(-1)}": ${(cause as Error).message}`, { cause });
    } finally {
      console.error = error;
    }
  });

  const figures = (data: string) => [
    ...new Set(rows.filter(({ figure }) => figure.startsWith(data)).map(({ figure }) => figure)),
  ];
  const bothOf = (...names: string[]) => names.flatMap((name) => [`${name}, wall`, `${name}, CPU`]);

  it('compares backup and restore of the largest data, and verification of all', () => {
    const verified = ['restore check', 'unchanged re-check', 'verify, own server'];
    const kept = ['backup, dump', 'backup, own server', 'restore, own server'];
    const of = (data: string, names: readonly string[]) => bothOf(...names.map((name) => `${data}: ${name}`));
    expect(figures('0.008 GB')).to.have.members(of('0.008 GB', [...kept, ...verified]));
    expect(figures('0.004 GB')).to.have.members(of('0.004 GB', verified));
    expect(figures('2 x 16 MB')).to.have.members(of('2 x 16 MB', verified));
    expect(figures('restore check, CPU of a GB')).to.deep.equal([
      'restore check, CPU of a GB of 0.008 over one of 0.004',
    ]);
  });

  it('says of each figure what every counted round took, both sides', () => {
    for (const { unit, peerValue, ours, least, ratio, rounds } of rows) {
      expect(unit).to.be.oneOf(['s', 'times']);
      expect([rounds.peer.length, rounds.ours.length]).to.deep.equal([1, 1]);
      expect([peerValue, ours]).to.deep.equal([least.peer, least.ours]);
      for (const value of [peerValue, ours, ratio]) expect(value).to.be.above(0).and.below(Infinity);
    }
  });

  it('leaves nothing behind', () => {
    expect(leftovers()).to.deep.equal([]);
  });

  it('refuses options that are none', () => {
    expect(optionsOf(['--sizes', '0.5,1'])).to.deep.include({ sizes: [0.5, 1], rounds: 3 });
    for (const args of [['--sizes', 'big'], ['--databases', '0'], ['--size', '1'], ['--rounds', '1.5'], ['1']]) {
      expect(() => optionsOf(args), args.join(' ')).to.throw('is not understood');
    }
  });
});
