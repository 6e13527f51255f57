import { expect } from 'chai';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { spawnSync } from 'node:child_process';
import { parseSettings, PolicyInputError } from '../../policies/settings';
import { checkState } from '../../policies/state';
import { exported } from './state';

const runner = path.join(__dirname, '../../policies/check.js');
const server = (backupRetentionDays: unknown) => ({
  type: 'azure-native:dbforpostgresql:Server',
  name: 'psql',
  protect: true,
  inputs: { location: 'westeurope', backup: { backupRetentionDays, geoRedundantBackup: 'Enabled' } },
});

describe('a check of a file', () => {
  let folder: string;
  before(() => (folder = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-check-'))));
  after(() => fs.rmSync(folder, { recursive: true }));

  function check(content: unknown, ...args: readonly string[]) {
    const file = path.join(folder, 'file.json');
    fs.writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
    // From another folder: a pipeline does not start it where it lives.
    const { status, stdout, stderr } = spawnSync(process.execPath, [runner, file, ...args], {
      cwd: folder,
      encoding: 'utf8',
    });
    return { status, output: stdout + stderr };
  }

  it('passes with exit code 0, refuses with 1', () => {
    expect(check(exported('trial', [server(35)]), '--profile', 'moodtalk')).to.deep.equal({
      status: 0,
      output: '2 judged, 0 found: passed\n',
    });
    const { status, output } = check(exported('trial', [server(7)]), '--profile', 'moodtalk');
    expect(status).to.equal(1);
    expect(output).to.match(
      /^mandatory {2}backup-retention {2}psql .* is 7; allowed is 35 days or more\. Serves Moodtalk DRP.*$/m,
    );
    expect(output).to.match(/\n2 judged, 1 found: refused\n$/);
  });

  it("reads a preview's steps as well", () => {
    const urn = 'urn:pulumi:prod::standby::standby:database:Database$azure-native:dbforpostgresql:Server::psql';
    expect(check({ steps: [{ op: 'update', urn }] }).status).to.equal(0);
    const { status, output } = check({ steps: [{ op: 'delete-replaced', urn }] });
    expect(status).to.equal(1);
    expect(output).to.include('psql (azure-native:dbforpostgresql:Server): step is "delete-replaced"');
  });

  it('lists what must be kept', () => {
    const { output } = check(exported('prod', [server(35)]), '--list-data');
    expect(JSON.parse(output)).to.deep.equal(['prod::azure-native:dbforpostgresql:Server::psql']);
  });

  it('answers bad input with one line and exit code 2', () => {
    const bad: readonly (readonly [content: unknown, args: readonly string[], says: RegExp])[] = [
      ['{', [], /^.*file\.json: .+\n$/],
      [{ version: 3 }, [], /^the file is no exported state; make one with: pulumi stack export.*\n$/],
      [{ steps: [1] }, [], /^the file is no preview; make one with: pulumi preview.*\n$/],
      [{}, ['--profile', 'acme'], /^profile "acme" is unknown; known are careful, domacare, moodtalk, neosofia\n$/],
      [{}, ['--settings', 'none.json'], /^none\.json: ENOENT.*\n$/],
      [{}, ['--colour'], /^Unknown option '--colour'.*\n$/],
      [{}, ['another.json'], /^2 files given; allowed is one\n$/],
    ];
    for (const [content, args, says] of bad) {
      const { status, output } = check(content, ...args);
      expect(output).to.match(says);
      expect(status).to.equal(2);
    }
  });

  it('names every issue of the settings', () => {
    const given = {
      'backup-retention': { minimumDays: 36, minimum: 35 },
      'log-retention': { minimumDays: 30 },
      'eea-regions': { regions: ['uksouth'] },
      'no-open-firewall': { maximumAddresses: '1' },
      tls: { enforcementLevel: 'advisory' },
      ssl: {},
    };
    const lines = [
      's: backup-retention.minimumDays is 36; allowed is a whole number from 7 to 35',
      's: backup-retention.minimum is no setting; known are minimumDays, clause',
      's: log-retention.minimumDays is 30; allowed is a whole number from 90 to 730',
      's: eea-regions.regions is ["uksouth"]; allowed is a list of regions out of austriaeast',
      's: no-open-firewall.maximumAddresses is "1"; allowed is a whole number from 1 to 65536',
      's: tls.enforcementLevel is "advisory"; allowed is "mandatory"',
      's: ssl is no policy; known are backup-retention, ',
    ];
    try {
      parseSettings(given, 's');
      expect.fail('the settings were taken');
    } catch (error) {
      expect(error).to.be.instanceOf(PolicyInputError);
      const said = (error as Error).message.split('\n');
      expect(said.length).to.equal(lines.length);
      for (const [index, line] of lines.entries()) expect(said[index]).to.include(line);
    }
  });

  it('does not call green what is encrypted', () => {
    const secret = { '4dabf18193072939515e22adb298388d': '1b47061264138c4ac30d75fd1eb44270', ciphertext: 'v1:…' };
    const { passed, findings } = checkState(exported('prod', [server(secret)]), parseSettings({}));
    expect(passed).to.equal(false);
    expect(findings.map(({ message }) => message).join()).to.include('backup.backupRetentionDays is encrypted');
  });

  it('judges a secret that the export shows', () => {
    const shown = (days: number) => ({
      '4dabf18193072939515e22adb298388d': '1b47061264138c4ac30d75fd1eb44270',
      plaintext: JSON.stringify(days),
    });
    expect(checkState(exported('prod', [server(shown(35))]), parseSettings({})).passed).to.equal(true);
    expect(checkState(exported('prod', [server(shown(6))]), parseSettings({})).passed).to.equal(false);
  });

  it('leaves out what waits for its deletion, and what is only read', () => {
    const state = exported('prod', [server(7)]);
    const marked = (mark: object) => ({
      ...state,
      deployment: { resources: state.deployment.resources.map((one) => ({ ...one, ...mark })) },
    });
    expect(checkState(marked({ delete: true }), parseSettings({})).passed).to.equal(true);
    expect(checkState(marked({ external: true }), parseSettings({})).passed).to.equal(true);
    expect(checkState(state, parseSettings({})).passed).to.equal(false);
  });
});
