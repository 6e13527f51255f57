import { expect } from 'chai';
import { checkPreview } from '../../policies/preview';
import { parseSettings } from '../../policies/settings';
import { checkState } from '../../policies/state';
import { Engine } from './engine';

const server = 'prod::azure-native:dbforpostgresql:Server::psql';
const settings = {
  'data-resources-kept': { resources: [server] },
  'backup-retention': { clause: 'the plan, section 3' },
};

/** One story on one stack: each test goes on where the one before it ended. */
describe('policies in the real engine', function () {
  this.timeout(180_000);
  let engine: Engine;
  let pack: readonly string[];
  before(async () => {
    engine = await Engine.start();
    pack = engine.underPolicies(settings);
  });
  after(() => engine.stop());
  const preview = () => engine.run('preview', ...pack);
  const up = (...more: string[]) => engine.run('up', '--yes', ...more, ...pack);

  it('show at preview what is not known yet as advisory, neither green nor refused', async () => {
    engine.configure({ location: 'unknown' });
    const { code, output } = await preview();
    expect(output).to.match(/\[advisory\]\s+eea-regions .*psql/);
    expect(output).to.include("can't be known during preview");
    expect(code).to.equal(0);
  });

  it('let a sound program pass, at preview, at update and on the exported state', async () => {
    engine.configure({});
    const { code, output } = await up();
    expect(code, output).to.equal(0);
    expect(output).to.include('✅ standby@v');
    const { findings, resources } = checkState(await engine.export(), parseSettings(settings));
    expect(findings).to.deep.equal([]);
    expect(resources).to.be.at.least(3);
  });

  it('refuse a weak backup at preview and at update, and nothing is touched', async () => {
    engine.configure({ days: '7' });
    for (const { code, output } of [await preview(), await up(), await up('--skip-preview')]) {
      expect(output).to.match(/\[mandatory\]\s+backup-retention /);
      expect(output).to.include(
        'psql (azure-native:dbforpostgresql:Server): backup.backupRetentionDays is 7; allowed is 35 days',
      );
      expect(output).to.include('Serves the plan, section 3; ISO/IEC 27001:2022 A.8.13');
      expect(code).to.not.equal(0);
    }
    expect(JSON.stringify(await engine.export())).to.include('"backupRetentionDays":35');
  });

  it('refuse to take the protection off a database', async () => {
    engine.configure({ protect: 'false' });
    const { code, output } = await up();
    expect(output).to.match(/\[mandatory\]\s+protect-data .*psql/);
    expect(code).to.not.equal(0);
  });

  it('so that the engine refuses to replace or delete it', async () => {
    engine.configure({ login: 'other' });
    const replaced = await preview();
    expect(replaced.output).to.include('unable to replace resource');
    engine.configure({ server: 'dropped' });
    const dropped = await preview();
    expect(dropped.output).to.include('cannot be deleted');
    expect([replaced.code, dropped.code]).to.not.include(0);
  });

  it('refuse its deletion also when somebody took the protection off by hand', async () => {
    const urn = 'urn:pulumi:prod::trial::azure-native:dbforpostgresql:Server::psql';
    await engine.run('state', 'unprotect', urn, '--yes');
    engine.configure({ server: 'dropped' });
    const { code, output } = await up();
    expect(output).to.match(/\[mandatory\]\s+data-resources-kept /);
    expect(output).to.include(`${server} is not set`);
    expect(code).to.not.equal(0);
    expect(JSON.stringify(await engine.export())).to.include(urn);
  });

  it("see a replacement and a deletion in the steps of the engine's preview", async () => {
    const stepsOf = async () => checkPreview(JSON.parse((await engine.run('preview', '--json')).output));
    const dropped = await stepsOf();
    engine.configure({ login: 'other', protect: 'false' });
    const replaced = await stepsOf();
    engine.configure({ days: '7', protect: 'false' });
    const changed = await stepsOf();
    expect(dropped.findings[0]?.message).to.include('psql (azure-native:dbforpostgresql:Server): step is "delete"');
    expect(replaced.findings[0]?.message).to.include('step is "replace" because of administratorLogin');
    expect([dropped.passed, replaced.passed, changed.passed]).to.deep.equal([false, false, true]);
  });

  it('do not pass over a setting that is misspelt', async () => {
    pack = engine.underPolicies({ 'backup-retention': { minimumdays: 35 } });
    engine.configure({});
    const { code, output } = await preview();
    expect(output).to.include('backup-retention.minimumdays is no setting; known are minimumDays, clause');
    expect(code).to.not.equal(0);
  });
});
