import { expect } from 'chai';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { exitCodes } from '../../failover/errors';
import { standby } from './standby';

describe('cli: restore', function () {
  this.timeout(120_000);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-cli-'));
  after(() => fs.rmSync(folder, { recursive: true, force: true }));
  const nowhere = { PATH: path.dirname(process.execPath), STANDBY_RUNS: path.join(folder, 'runs') };

  it('explains itself with examples', async () => {
    const { code, out } = await standby(['restore', '--help']);
    expect(code).to.equal(exitCodes.done);
    expect(out).to.contain('Examples:').and.to.contain('--find-clean').and.to.contain('--json');
  });

  const wrong: readonly (readonly [readonly string[], string])[] = [
    [[], 'say which moment: --at TIME, or --latest'],
    [['--at', 'yesterday'], 'allowed is a time in UTC that is past'],
    [['--at', '2999-01-01T00:00:00Z'], 'allowed is a time in UTC that is past'],
    [['--at', '2026-01-01T00:00:00Z', '--latest'], 'exclude each other'],
    [['--latest', '--ttl', '9d'], 'allowed is 10m to 336h'],
    [['--latest', '--from', 'tape'], 'Allowed choices are azure, pgbackrest'],
    [['--latest', '--stop-writes'], '--stop-writes goes with --find-clean'],
    [['--latest', '--tables', 'bookings'], 'say which schema: --into recovered_NAME'],
    [['--latest', '--tables', 'a,a', '--into', 'recovered_x'], 'two tables are called a'],
    [['--tables', 'a', '--into', 'recovered_x'], 'say which moment'],
    [['--into', 'public', '--diff'], 'begins with recovered_'],
    [['--into', 'recovered_x', '--diff', '--merge'], 'first look, then merge'],
    [['--into', 'recovered_x', '--diff', '--overwrite-changed'], '--overwrite-changed goes with --merge'],
    [['--find-clean', 'DELETE FROM bookings'], 'is not one SELECT'],
    [['--find-clean', 'SELECT true; DROP TABLE x'], 'is not one SELECT'],
  ];
  for (const [args, says] of wrong) {
    it(`answers "standby restore ${args.join(' ')}" with exit code 2 and what is allowed`, async () => {
      const { code, out, err } = await standby(['restore', ...args], nowhere);
      expect(code, err).to.equal(exitCodes.usage);
      expect(err).to.contain(says);
      expect(out).to.equal('');
    });
  }

  it('says what a server of one’s own is found by', async () => {
    const { code, err } = await standby(['restore', '--latest', '--from', 'pgbackrest'], nowhere);
    expect(code).to.equal(exitCodes.refused);
    expect(err)
      .to.contain('is not set: --from pgbackrest needs')
      .and.to.satisfy((text: string) => text.trim().split('\n').length === 1);
  });
});
