import { expect } from 'chai';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { lastProof } from '../../adapters/observe/proofs';
import { rowsCheck } from '../../failover/drill';

describe('adapters/observe: proofs of Azure’s own backup', () => {
  const runs = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-proofs-'));
  const asked = () => lastProof({ STANDBY_RUNS: runs }, 'psql-x-prod');
  const write = (number: number, text: string) => {
    fs.mkdirSync(path.join(runs, `drill-${number}`), { recursive: true });
    fs.writeFileSync(path.join(runs, `drill-${number}`, 'evidence.json'), text);
  };
  const evidence = (endedAt: number, what: { server?: string; method?: string; outcome?: string } = {}) =>
    JSON.stringify({
      plan: { source: { server: what.server ?? 'psql-x-prod', site: 'prod', method: what.method ?? 'geoRestore' } },
      endedAt,
      checks: [{ name: rowsCheck, outcome: what.outcome ?? 'passed', detail: '' }],
    });
  after(() => fs.rmSync(runs, { recursive: true }));

  it('are unknown where no drill was carried out here', () => {
    expect(asked()).to.equal(undefined);
    expect(lastProof({ STANDBY_RUNS: path.join(runs, 'not-there') }, 'psql-x-prod')).to.equal(undefined);
  });

  it('are drills that restored that backup of that server, and found rows in it', () => {
    write(1, evidence(1, { method: 'clone' }));
    write(2, evidence(2, { server: 'psql-x-intg-e2' }));
    write(3, evidence(3, { outcome: 'failed' }));
    write(4, evidence(4, { outcome: 'unknown' }));
    write(5, '{"plan": {"sou');
    expect(asked()).to.equal(undefined);
    write(6, evidence(6));
    write(7, evidence(7));
    write(8, evidence(8, { outcome: 'failed' }));
    expect(asked()).to.equal(7);
  });
});
