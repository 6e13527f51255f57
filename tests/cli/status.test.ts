import { expect } from 'chai';
import { statusLines } from '../../cli/render/status';
import type { ArchiveReading, Observation } from '../../failover/model';
import { healthy, now, silent } from '../failover/observations';

const server = 'psql-moodtalk-prod';
const paint = (_colour: string, text: string) => text;
const lines = (seen: Observation, at = now) => statusLines(seen, server, at, paint);
const lineOf = (seen: Observation, at = now) => lines(seen, at).find((line) => line.includes(`${server} *`)) ?? '';

describe('what `standby status` says', () => {
  const archiving = (archive: ArchiveReading): Observation => {
    const seen = healthy();
    const reading = seen.servers[server];
    if (!reading || !('value' in reading)) throw new Error(`${server} is not read`);
    return { ...seen, servers: { ...seen.servers, [server]: { ...reading, value: { ...reading.value, archive } } } };
  };

  it('is well where everything is', () => {
    expect(lines(healthy()).filter((line) => /^ +(!!|\?\?)/.test(line))).to.deep.equal([]);
  });

  it('judges how far the archive of the log is behind', () => {
    const well = { failing: false, pendingBytes: 2 ** 20 };
    expect(lineOf(archiving({ ...well, lagSeconds: 60 }))).to.match(/^ +ok .*archive of the log 60 s behind by 1.0 MB/);
    expect(lineOf(archiving({ ...well, lagSeconds: 61 }))).to.match(/^ +!! .*61 s behind/);
    expect(lineOf(archiving({ lagSeconds: 5, failing: true, pendingBytes: 0 }))).to.match(/^ +!! .*attempt failed/);
    expect(lineOf(archiving({ failing: true, pendingBytes: 9 }))).to.match(/^ +!! .*holds nothing/);
  });

  it('never shows as well what is unknown, old, or was not looked at', () => {
    const seen = healthy();
    expect(lineOf({ ...seen, servers: { [server]: silent('no answer') } })).to.match(/^ +\?\? .*unknown: no answer/);
    expect(lineOf(seen, now + 31_000)).to.match(/^ +\?\? .*too old to be believed/);
    const { lease: _lease, ...rest } = seen;
    expect(lines(rest as Observation).find((line) => line.includes('writer lease'))).to.match(
      /^ +\?\? .*not looked at/,
    );
  });
});
