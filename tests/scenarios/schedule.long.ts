/**
 * Backups that nobody calls: CronJobs on INTG's cluster, whose pods run `standby` with PostgreSQL's own programs, with what a person put
 * into two Secrets and nothing else of the operator's machine.
 */
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { expect } from 'chai';
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { referenceTo } from '../../sandbox/application/registry';
import { QueryApi } from '../adapters/backup/queryApi';

const repository = path.resolve(__dirname, '..', '..');
const standby = path.join(repository, 'bin', 'standby.js');
const run = promisify(execFile);
const namespace = 'standby-backup';
const stacks = ['prod', 'intg', 'failover'] as const;
const databases = ['moodtalk', 'keycloak'] as const;
/** What a pod is given of an operator's shell: logins, and where the vendors' services are here. */
const given = [
  ...['ARM_SUBSCRIPTION_ID', 'ARM_TENANT_ID', 'ARM_CLIENT_ID', 'ARM_CLIENT_SECRET'],
  ...['ARM_METADATA_HOSTNAME', 'ARM_DISABLE_INSTANCE_DISCOVERY'],
  ...['CLOUDFLARE_API_TOKEN', 'CLOUDFLARE_ACCOUNT_ID', 'CLOUDFLARE_BASE_URL'],
  ...['PULUMI_BACKEND_URL', 'AZURE_STORAGE_ACCOUNT', 'AZURE_STORAGE_KEY'],
];

type Variables = Readonly<Record<string, string>>;
interface Outcome {
  readonly code: number;
  readonly output: string;
}
type Event = Readonly<Record<string, unknown>> & { readonly code: string };
interface Kept {
  readonly manifest: { readonly id: string; readonly dataSet: string };
  readonly verdict?: { readonly defect?: string };
}
interface Taken {
  readonly dataSet: string;
  readonly kept?: { readonly verdicts: readonly { readonly defect?: string }[] };
  readonly skipped?: string;
}
interface Check {
  readonly name: string;
  readonly passed: boolean;
  readonly detail: string;
}

async function command(file: string, args: readonly string[], env: Variables, signal?: AbortSignal): Promise<Outcome> {
  const options = { env: { ...process.env, ...env }, maxBuffer: 64 * 1024 ** 2, ...(signal ? { signal } : {}) };
  try {
    const { stdout, stderr } = await run(file, args, options);
    return { code: 0, output: stdout + stderr };
  } catch (cause) {
    const fault = cause as { code?: number; stdout?: string; stderr?: string };
    return { code: fault.code ?? -1, output: `${fault.stdout ?? ''}${fault.stderr ?? ''}` };
  }
}

const events = (text: string): Event[] =>
  text.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Event] : []));

describe('backups that nobody calls, on the embedded sandbox', function () {
  this.timeout('40m');
  const world = { STANDBY_WORLD: process.env['STANDBY_WORLD'] ?? '251' };
  const logs = new QueryApi(`127.${world.STANDBY_WORLD}.30.60`);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-schedule-'));
  const image = referenceTo('ghcr.io/moodtalk/standby', '0.1.0');
  let people: Record<string, string>;
  let identities: string[];

  const must = async (outcome: Promise<Outcome>) => {
    const { code, output } = await outcome;
    expect(code, output).to.equal(0);
    return output;
  };
  const sandbox = (...args: string[]) => command(process.execPath, [standby, 'sandbox', ...args], world);
  const pulumi = (...args: string[]) => {
    const where = ['--cwd', people['STANDBY_PROJECT'] ?? '', '--non-interactive', '--color', 'never'];
    return must(command('pulumi', [...where, ...args], people));
  };
  const up = (stack: string) => pulumi('up', '--yes', '--skip-preview', '--stack', stack);
  const configure = (values: Readonly<Record<string, string | number>>) => {
    const pairs = Object.entries(values).flatMap(([key, value]) => ['--plaintext', `standby:${key}=${value}`]);
    return pulumi('config', 'set-all', '--path', '--stack', 'failover', ...pairs);
  };
  const kubectlUntil = (signal: AbortSignal | undefined, ...args: string[]) => {
    const kubeconfig = path.join(people['STANDBY_HOME'] ?? '', 'run', 'kubernetes', 'intg', 'kubeconfig');
    return must(command('kubectl', ['--kubeconfig', kubeconfig, '--namespace', namespace, ...args], people, signal));
  };
  const kubectl = (...args: string[]) => kubectlUntil(undefined, ...args);
  const operator = (...args: string[]) => command(process.execPath, [standby, ...args, '--json'], people);

  /** A file that its owner alone reads: no secret is on a command line. */
  const secretFile = (name: string, text: string): string => {
    const file = path.join(folder, name);
    fs.writeFileSync(file, text, { mode: 0o600 });
    return file;
  };
  const makeIdentities = async (first: string, second: string) => {
    await kubectl('delete', 'secret', 'standby-identity', '--ignore-not-found');
    const from = Object.entries({ identity: first, 'second-identity': second }).map(
      ([key, text]) => `--from-file=${key}=${secretFile(key, `${text}\n`)}`,
    );
    await kubectl('create', 'secret', 'generic', 'standby-identity', ...from);
  };

  /** @returns the condition that a Job ended with. */
  async function endOf(name: string): Promise<string> {
    const other = new AbortController();
    const waits = ['Complete', 'Failed'].map(async (condition) => {
      await kubectlUntil(other.signal, 'wait', `--for=condition=${condition}`, `job/${name}`, '--timeout=300s');
      return condition;
    });
    return Promise.any(waits).finally(() => other.abort());
  }

  let count = 0;
  /** Starts a CronJob's Job as a person does, and waits for its end. @returns how it ended, and what its pods said. */
  async function start(job: string, wanted: 'Complete' | 'Failed' = 'Complete') {
    const name = `${job}-${(count += 1)}`;
    await kubectl('create', 'job', name, `--from=cronjob/standby-backup-${job}`);
    const condition = await endOf(name);
    const pods = (await kubectl('get', 'pods', '-l', `job-name=${name}`, '-o', 'name')).trim().split('\n');
    const said = await Promise.all(pods.map((pod) => kubectl('logs', pod)));
    expect(condition, said.join('\n')).to.equal(wanted);
    return said.map(events);
  }
  const kept = async () =>
    events(await must(operator('backup', 'list'))).map((event) => event as unknown as Kept & Event);
  const schedule = async () => {
    const { code, output } = await operator('backup', 'status');
    const found = events(output).find((event) => event.code === 'BackupSchedule') as unknown as { checks: Check[] };
    return { code, checks: found.checks };
  };
  const cronJobs = async () => {
    const { items } = JSON.parse(await kubectl('get', 'cronjobs', '-o', 'json')) as {
      items: { metadata: { name: string; uid: string } }[];
    };
    return Object.fromEntries(items.map(({ metadata }) => [metadata.name, metadata.uid]));
  };
  const previewsAreClean = async () => {
    for (const stack of stacks) await pulumi('preview', '--expect-no-changes', '--diff', '--stack', stack);
  };

  before(async () => {
    await must(sandbox('up'));
    people = JSON.parse(await must(sandbox('env', '--json'))) as Record<string, string>;
    await logs.listen();
    identities = await Promise.all([generateX25519Identity(), generateX25519Identity()]);
    const recipients = await Promise.all(identities.map((identity) => identityToRecipient(identity)));
    for (const stack of stacks) await pulumi('stack', 'init', '--no-select', stack);
    // Once a day, and at another time than now: nothing starts but what is asked for.
    const hour = String((new Date().getUTCHours() + 12) % 24).padStart(2, '0');
    await configure({
      ...{
        'backup.schedule.everyHours': 24,
        'backup.schedule.fullAt': `${hour}:00`,
        'backup.recoveryPointMinutes': 1440,
      },
      ...Object.fromEntries(recipients.map((recipient, index) => [`backup.recipients[${index}]`, recipient])),
      ...Object.fromEntries(databases.map((name, index) => [`backup.databases[${index}].name`, name])),
      // On a machine that is busy a site loses its lease for moments, and fences itself: that is no matter of this.
      writerLease: 'off',
      'backup.schedule.jobs.image': image,
      'backup.schedule.jobs.verifiers': 2,
    });
    await Promise.all([up('prod'), up('intg')]);
    await up('failover');
    // Rows as a user writes them: an empty database is no backup.
    const script = `(async () => {
      for (let seq = 1; seq <= 25; seq += 1) {
        const answer = await fetch('https://api.moodtalk.ch/sentinel', { method: 'POST', body: JSON.stringify({ seq }) });
        if (answer.status !== 201) throw new Error('status ' + answer.status);
      }
    })();`;
    await must(command(process.execPath, ['-e', script], people));
    const passphrase = fs.readFileSync(people['PULUMI_CONFIG_PASSPHRASE_FILE'] ?? '', 'utf8').trim();
    const variables = {
      ...Object.fromEntries(given.map((name) => [name, people[name] ?? ''])),
      ...{ PULUMI_CONFIG_PASSPHRASE: passphrase, STANDBY_LOGS_ENDPOINT: logs.endpoint },
    };
    const lines = Object.entries(variables).map(([name, value]) => `${name}=${value}\n`);
    await kubectl(
      'create',
      'secret',
      'generic',
      'standby-environment',
      `--from-env-file=${secretFile('env', lines.join(''))}`,
    );
    await makeIdentities(identities[0] ?? '', identities[1] ?? '');
  });
  after(async () => {
    logs.close();
    fs.rmSync(folder, { recursive: true, force: true });
    await sandbox('down');
  });

  it('are on INTG’s cluster, and are not said to be kept before one ran', async () => {
    expect(Object.keys(await cronJobs())).to.have.members(
      ['run', 'estate', 'verify'].map((job) => `standby-backup-${job}`),
    );
    const { code, checks } = await schedule();
    expect(code).to.equal(5);
    expect(checks.map(({ detail }) => detail.replace(/ since .*/, ''))).to.deep.equal(Array(3).fill('it never ran'));
  });

  it('are taken by a pod, and are in the vault', async () => {
    const [said] = await start('run');
    const taken = (said ?? []).filter(({ code }) => code === 'BackupTaken').map(({ dataSet }) => dataSet);
    expect(taken).to.have.members(databases.map((name) => `database/${name}`));
    const found = (await kept()).map(({ manifest, verdict }) => ({ dataSet: manifest.dataSet, verdict }));
    expect(found).to.have.deep.members(databases.map((name) => ({ dataSet: `database/${name}`, verdict: undefined })));
  });

  it('are restored by two pods, each database by one of them alone', async () => {
    const said = await start('verify');
    const verified = said.map((own) =>
      own.filter(({ code }) => code === 'BackupVerified').map(({ dataSet }) => dataSet),
    );
    expect(verified).to.have.length(2);
    expect(verified.flat()).to.have.members(databases.map((name) => `database/${name}`));
    for (const own of verified) expect(own).to.have.length(1);
    for (const { manifest, verdict } of await kept()) {
      expect(verdict, manifest.dataSet).to.be.an('object').and.not.to.have.property('defect');
    }
  });

  it('are taken of all else too, opened and compared', async () => {
    const [said] = await start('estate');
    const taken = (said ?? []).filter(({ code }) => code === 'EstateTaken') as unknown as Taken[];
    const sound = taken.filter(({ kept: one }) => one?.verdicts.every(({ defect }) => defect === undefined));
    expect(sound.map(({ dataSet }) => dataSet)).to.have.members([
      ...['secrets', 'state', 'journal', 'images', 'names', 'identity', 'monitoring', 'logs'],
    ]);
    expect(taken.flatMap(({ skipped }) => skipped ?? [])).to.have.length(1);
    const listed = events(await must(operator('estate', 'list'))) as unknown as Kept[];
    expect(listed.map(({ manifest }) => manifest.dataSet)).to.include.members(sound.map(({ dataSet }) => dataSet));
  });

  it('are said to be kept when the last of each did', async () => {
    const { checks } = await schedule();
    expect(checks.filter(({ passed }) => !passed)).to.deep.equal([]);
  });

  it('go on through a failover and the way home, as the same objects', async () => {
    const before = await cronJobs();
    await configure({ activeSite: 'intg', unreachable: 'prod-cluster', epoch: 2 });
    await up('failover');
    await start('run');
    await configure({ activeSite: 'prod', unreachable: 'none', epoch: 3 });
    await up('failover');
    expect(await cronJobs()).to.deep.equal(before);
    expect((await kept()).filter(({ manifest }) => manifest.dataSet === 'database/moodtalk')).to.have.length(2);
  });

  it('fail with a key that opens nothing, and are seen to have failed', async () => {
    await makeIdentities(await generateX25519Identity(), identities[1] ?? '');
    const said = await start('verify', 'Failed');
    expect(JSON.stringify(said)).to.match(/BackupNotReadable/);
    const { code, checks } = await schedule();
    expect(code).to.equal(5);
    expect(checks.find(({ name }) => name === 'standby-backup-verify')).to.have.property('passed', false);
    await makeIdentities(identities[0] ?? '', identities[1] ?? '');
    await start('verify');
    expect((await schedule()).checks.find(({ name }) => name === 'standby-backup-verify')).to.have.property(
      'passed',
      true,
    );
  });

  it('leave previews clean, and no secret in the state', async () => {
    await previewsAreClean();
    const state = await pulumi('stack', 'export', '--stack', 'failover');
    for (const secret of [...identities, people['ARM_CLIENT_SECRET'] ?? ''])
      expect(state.includes(secret)).to.equal(false);
  });
});
