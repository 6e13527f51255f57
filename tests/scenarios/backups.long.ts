/**
 * Backups on the whole sandbox, as a person would use them: everything is taken and restored, rows are given to customers, a copy goes
 * to another provider and one to a medium; and what somebody deleted comes back.
 */
import { DeleteObjectCommand, ListObjectVersionsCommand } from '@aws-sdk/client-s3';
import { expect } from 'chai';
import { readXlsx } from 'hucre/xlsx';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { Manifest, Verdict } from '../../backup/model';
import { estateNames } from '../../config/dataSets';
import { exitCodes as exits } from '../../failover/errors';
import { azure, cloudflare, endState, recordsOf } from '../chaos/harness/state';
import { stacks } from '../chaos/harness/world';
import { all, bookings, everywhere, minuteMs, one, prod, theBusiness } from '../support/business';

interface Difference {
  readonly what: string;
  readonly how: string;
}
interface Taken {
  readonly dataSet: string;
  readonly kept?: { readonly manifest: Manifest; readonly verdicts: readonly Verdict[] };
  readonly skipped?: string;
}

const bucket = 'moodtalk-backups';

describe('backups on the whole sandbox', function () {
  this.timeout('60m');
  const business = theBusiness();
  const { world } = business;
  before(() => business.start());

  describe('taken', () => {
    const medium = fs.mkdtempSync(path.join(world.home, 'medium-'));
    let exported: string;

    before(async () => {
      await business.rewind('backups');
      await business.gateway.bucket(bucket, true);
      const { endpoint, region } = business.gateway.place(bucket);
      const at = 'backup.vaults.offsite';
      await world.configure({ [`${at}.endpoint`]: endpoint, [`${at}.region`]: region, [`${at}.bucket`]: bucket });
      await world.update('failover');
      const route = `${business.site.resourceGroup.id}/providers/Microsoft.OperationalInsights/workspaces`;
      const { value } = await azure<{ value: { properties: { customerId: string } }[] }>(
        world,
        `${route}?api-version=2023-09-01`,
      );
      const hourAgo = Date.now() - 60 * minuteMs;
      business.logs.tables.set(
        `${value[0]?.properties.customerId}/ContainerLogV2`,
        Array.from({ length: 500 }, (_, n) => ({ at: hourAgo + n * 100, text: `request ${n}` })),
      );
    });

    it('is every data set of the estate, and each is restored from both vaults', async () => {
      const taken = all<Taken>(await business.standby(['estate', 'run']), 'EstateTaken');
      expect(taken.map(({ dataSet }) => dataSet)).to.have.members([...estateNames]);
      for (const { dataSet, kept, skipped } of taken) {
        expect(skipped, dataSet).to.equal(undefined);
        expect(
          kept?.verdicts.map(({ vault, defect }) => [vault, defect]),
          dataSet,
        ).to.deep.equal([
          ['prod', undefined],
          ['offsite', undefined],
        ]);
      }
      const list = all<{ vault: string; manifest: Manifest }>(
        await business.standby(['estate', 'list']),
        'EstateBackup',
      );
      const names = list.filter(({ manifest }) => manifest.dataSet === 'names');
      expect(names.map(({ vault }) => vault)).to.have.members(['prod', 'offsite']);
    });

    it('is every database; nothing is exported before a restore has proved it', async () => {
      const manifest = one<{ BackupTaken: Manifest }>(
        await business.standby(['backup', 'run']),
        'BackupTaken',
      ).BackupTaken;
      expect(manifest.facts?.rows).to.deep.include({ 'public.bookings': bookings });
      expect(await business.refused(['export', 'bookings', '--tenant', 't1'])).to.match(
        /no backup of .* passed a restore check/,
      );
      for (const vault of [[], ['--vault', 'offsite']]) {
        const verdicts = all<{ BackupVerified: Verdict }>(
          await business.standby(['backup', 'verify', ...vault]),
          'BackupVerified',
        );
        expect(verdicts.filter(({ BackupVerified: { defect } }) => defect)).to.deep.equal([]);
        expect(verdicts.map(({ BackupVerified: { dataSet } }) => dataSet)).to.deep.equal([manifest.dataSet]);
      }
    });

    it('is locked at the other provider: nobody deletes it', async () => {
      const { Versions = [] } = await business.gateway.client.send(new ListObjectVersionsCommand({ Bucket: bucket }));
      const part = Versions.find(({ Key = '' }) => Key.includes('/database/') && !Key.endsWith('manifest.json'));
      const named = { Bucket: bucket, Key: part?.Key, VersionId: part?.VersionId };
      const answer = await business.gateway.client.send(new DeleteObjectCommand(named)).then(
        () => 'deleted',
        (cause: Error) => cause.name,
      );
      expect(answer).to.match(/AccessDenied|ObjectLocked|InvalidRequest/);
    });

    it('is offline when the medium was taken away, and then all of it is 3-2-1-1-0', async () => {
      await business.standby(['backup', 'offline', medium]);
      const before = all<{ dataSet: string; checks: { name: string; passed: boolean; detail: string }[] }>(
        await business.standby(['backup', 'status'], exits.safe),
        'BackupStatus',
      );
      for (const { dataSet, checks } of before) {
        const failed = checks.filter(({ passed }) => !passed);
        expect(
          failed.map(({ name }) => name),
          `${dataSet}: ${JSON.stringify(failed)}`,
        ).to.deep.equal(['offline']);
        expect(failed[0]?.detail).to.match(/take it away/);
      }
      fs.renameSync(medium, `${medium}-in-a-safe`);
      const status = all<{ dataSet: string; passed: boolean }>(
        await business.standby(['backup', 'status']),
        'BackupStatus',
      );
      expect(status.map(({ dataSet }) => dataSet)).to.have.members([
        `database/${business.site.database.database}`,
        ...estateNames,
      ]);
    });

    it('is found at the other provider when the state of the failover stack is lost, and brings it back', async () => {
      await world.pulumi('failover', 'stack', 'rm', '--force', '--yes', '--preserve-config');
      expect(await business.refused(['estate', 'run', 'names'])).to.match(/output "landscape" of stack failover/);
      const restored = await business.standby(['estate', 'restore', 'state', '--into', 'live', '--yes']);
      expect(one<{ done: string[] }>(restored, 'EstateRestored').done).to.deep.equal([
        'state of stack failover imported',
      ]);
      const { code, stdout } = await world.tryPulumi('failover', 'preview', '--expect-no-changes', '--diff');
      expect(code, stdout.slice(-3_000)).to.equal(0);
    });

    it('is given to one customer in three formats, sealed, with its recovery point on it', async () => {
      const folder = path.join(world.home, `exports-${process.pid}`);
      const opened = async (format: string) => {
        const events = await business.standby([
          'export',
          'bookings',
          '--tenant',
          't1',
          '--format',
          format,
          '--out',
          folder,
        ]);
        const { file, rows, recoveryPoint } = one<{ file: string; rows: number; recoveryPoint: number }>(
          events,
          'Exported',
        );
        expect(rows).to.equal(bookings / 3);
        const sealed = fs.readFileSync(file);
        expect(sealed.subarray(0, 21).toString()).to.equal('age-encryption.org/v1');
        exported = new Date(recoveryPoint).toISOString();
        expect(path.basename(file)).to.include(exported.replace(/[-:]|\.\d+/g, ''));
        return buffer(fs.createReadStream(file).pipe((await business.keys()).opening()));
      };
      const csv = (await opened('csv')).toString('utf8').split('\r\n');
      expect(csv.slice(0, 3)).to.deep.equal([`recovery point,${exported}`, 'id,tenant,what', '1,t1,booking 1']);
      expect(csv.slice(2).filter(Boolean)).to.have.length(bookings / 3);
      const json = JSON.parse((await opened('json')).toString('utf8')) as {
        recoveryPoint: string;
        rows: { tenant: string }[];
      };
      expect(json.recoveryPoint).to.equal(exported);
      expect(new Set(json.rows.map(({ tenant }) => tenant))).to.deep.equal(new Set(['t1']));
      const { sheets } = await readXlsx(await opened('xlsx'));
      // The reader fills up rows that are shorter than others.
      expect(sheets[0]?.rows.slice(0, 3).map((row) => row.filter(Boolean))).to.deep.equal([
        ['recovery point', exported],
        ['id', 'tenant', 'what'],
        [1, 't1', 'booking 1'],
      ]);
      expect(await business.refused(['export', 'bookings'], exits.usage)).to.match(/--tenant/);
    });

    after(async () => {
      // What follows needs the site's own vault alone.
      await world.pulumi('failover', 'config', 'rm', '--path', 'standby:backup.vaults.offsite');
      await world.update('failover');
      await world.sandbox('keep', 'taken');
    });
  });

  describe('brought back', () => {
    const differences = async (set: string) =>
      all<Difference>(await business.standby(['estate', 'restore', set]), 'EstateDifference').map(
        ({ what, how }) => `${how} ${what}`,
      );
    const live = async (set: string) =>
      one<{ done: string[] }>(
        await business.standby(['estate', 'restore', set, '--into', 'live', '--yes']),
        'EstateRestored',
      ).done;

    before(() => business.rewindToTaken());

    it('as files that only their owner reads, every set', async () => {
      for (const set of estateNames) {
        const folder = path.join(world.home, `files-${process.pid}`, set);
        const { files } = one<{ files: string[] }>(
          await business.standby(['estate', 'restore', set, '--into', folder]),
          'EstateWritten',
        );
        for (const file of files) expect(fs.statSync(file).mode & 0o777, file).to.equal(0o600);
        expect(files, set).to.not.have.length(0);
        if (set === 'secrets') {
          const { password } = await world.databaseAccess();
          expect(fs.readFileSync(files[0] ?? '', 'utf8')).to.include(password);
        }
      }
    });

    it('after a switchover: names that somebody deleted, and the business stays where it is', async () => {
      await business.standby(['switchover', '--from', 'prod', '--to', 'intg', '--yes']);
      const there = await recordsOf(world);
      const [zone] = await cloudflare<{ id: string }[]>(world, '/zones?name=moodtalk.ch');
      const records = await cloudflare<{ id: string; type: string; name: string }[]>(
        world,
        `/zones/${zone?.id}/dns_records?per_page=100`,
      );
      for (const { id, type, name } of records) {
        if (type === 'TXT' || name === 'admin.moodtalk.ch')
          await cloudflare(world, `/zones/${zone?.id}/dns_records/${id}`, 'DELETE');
      }
      expect(await differences('names')).to.include.members([
        'missing record A admin.moodtalk.ch',
        'missing record TXT moodtalk.ch',
        'moves record A api.moodtalk.ch',
      ]);
      await live('names');
      expect(await recordsOf(world)).to.deep.equal(there);
      expect(await business.answers()).to.deep.equal(everywhere('intg'));
      expect((await differences('names')).filter((line) => /^(missing|different)/.test(line))).to.deep.equal([]);
    });

    it('nothing of the journal, after this machine’s was lost: the store has it', async () => {
      const runs = async () => (await business.standby(['runs'])).length;
      const before = await runs();
      expect(before).to.be.greaterThan(0);
      await business.standby(['estate', 'run', 'journal']);
      fs.rmSync(world.env['STANDBY_RUNS'] ?? '', { recursive: true });
      expect(await runs(), 'the store has them').to.equal(before);
      expect(await differences('journal')).to.deep.equal([]);
    });

    it('monitoring, after somebody deleted an alert', async () => {
      const { id } = business.site.resourceGroup;
      const route = `${id}/providers/Microsoft.Insights/metricAlerts`;
      const version = 'api-version=2018-03-01';
      const { value } = await azure<{ value: { id: string; name: string }[] }>(world, `${route}?${version}`);
      const [alert] = value;
      await azure(world, `${alert?.id}?${version}`, 'DELETE');
      expect(await differences('monitoring')).to.include(`missing Microsoft.Insights/metricAlerts/${alert?.name}`);
      await live('monitoring');
      expect((await differences('monitoring')).filter((line) => /^(missing|different)/.test(line))).to.deep.equal([]);
      const { code, stdout } = await world.tryPulumi('prod', 'preview', '--expect-no-changes', '--diff');
      expect(code, stdout.slice(-3_000)).to.equal(0);
    });

    it('the identity provider, into an empty database', async () => {
      const { database } = business.site.identity;
      const keys = () =>
        business.outside(`const base = 'https://idp.moodtalk.ch/realms/${business.site.identity.realm}/protocol/openid-connect/certs';
        console.log((await (await fetch(base)).json()).keys.map(({ kid }) => kid).sort().join());`);
      const before = await keys();
      expect(await live('identity')).to.deep.equal([]);
      await world.sql(
        prod,
        `DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION pg_database_owner; GRANT USAGE ON SCHEMA public TO PUBLIC`,
        database,
      );
      expect(await differences('identity')).to.deep.equal([`missing database ${database}`]);
      await live('identity');
      expect(await keys()).to.equal(before);
      expect((await differences('identity')).filter((line) => !line.startsWith('extra'))).to.deep.equal([]);
    });

    it('Pulumi’s state, after somebody removed a stack', async () => {
      await business.standby(['estate', 'run', 'state']);
      await world.pulumi('intg', 'stack', 'rm', '--force', '--yes', '--preserve-config');
      expect(await differences('state')).to.deep.equal(['missing state of stack intg']);
      await live('state');
      const { code, stdout } = await world.tryPulumi('intg', 'preview', '--expect-no-changes', '--diff');
      expect(code, stdout.slice(-3_000)).to.equal(0);
    });

    it('source, after somebody deleted a branch', async () => {
      await business.git('-C', business.repository, 'branch', '-D', 'feature');
      expect(await differences('source')).to.deep.equal(['missing refs/heads/feature at platform']);
      await live('source');
      expect(await differences('source')).to.deep.equal([]);
    });

    it('a document as it was before somebody encrypted it; who works on it may not delete that version', async () => {
      const landscape = await world.pulumi('failover', 'stack', 'output', 'landscape', '--json', '--show-secrets');
      const { documents } = JSON.parse(landscape) as { documents: { endpoint: string; container: string } };
      const inStore = (script: string) =>
        business.outside(`
          require(${JSON.stringify(require.resolve('ts-node/register/transpile-only'))});
          const { containerClient } = require(${JSON.stringify(require.resolve('../../adapters/store/client'))});
          const blob = containerClient(${JSON.stringify(documents)}, process.env).getBlockBlobClient('17/consent.txt');
          const write = (text) => blob.upload(text, text.length);
          ${script}`);
      await inStore(`await write('signed'); await write('encrypted by somebody');`);
      const versions = async () =>
        all<{ version: string; current: boolean }>(
          await business.standby(['estate', 'document', '17/consent.txt']),
          'DocumentVersion',
        );
      const [, signed] = await versions();
      expect(
        await inStore(`
          const gone = blob.withVersion(${JSON.stringify(signed?.version)}).delete();
          console.log(await gone.then(() => 'deleted', ({ code }) => code));`),
      ).to.equal('AuthorizationPermissionMismatch\n');
      await business.standby([
        'estate',
        'document',
        '17/consent.txt',
        '--at',
        signed?.version ?? '',
        '--into',
        'live',
        '--yes',
      ]);
      expect(await inStore(`console.log(String(await blob.downloadToBuffer()));`)).to.equal('signed\n');
      expect(await versions()).to.have.length(3);
    });

    it('and the business goes home, with nothing left to change', async () => {
      await business.standby(['failback', '--yes']);
      const state = await endState(world);
      expect(state).to.deep.include({ activeSite: 'prod', epoch: 3 });
      for (const stack of stacks) expect(state.previews[stack], stack).to.equal('');
    });
  });
});
