import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import { writeFiles } from '../../../adapters/backup/estate/files';
import { imagesSet } from '../../../adapters/backup/estate/images';
import { journalSet } from '../../../adapters/backup/estate/journal';
import { secretsSet } from '../../../adapters/backup/estate/secrets';
import { sourceSet } from '../../../adapters/backup/estate/source';
import { stateSet } from '../../../adapters/backup/estate/state';
import type { AdapterContext } from '../../../adapters/context';
import { createJournal } from '../../../adapters/journal/journal';
import { describeDifference, type EstateFile } from '../../../backup/estate/set';
import { nextEntry } from '../../../failover/journal';
import type { Plan } from '../../../failover/model';
import type { JournalEntry } from '../../../failover/ports';
import { call, Trial } from '../trial/trial';
import { Store } from '../store';

const folders: string[] = [];
const newFolder = () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-estate-'));
  folders.push(folder);
  return folder;
};
const faultOf = (act: Promise<unknown>) =>
  act.then(
    () => 'done',
    (cause: { code?: string; message: string }) => `${cause.code}: ${cause.message}`,
  );
const textOf = (files: readonly EstateFile[], name: string) =>
  files.find((file) => file.name === name)?.bytes.toString('utf8') ?? '';

after(() => {
  for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true });
});

describe('adapters/backup/estate: source code', function () {
  this.timeout(60_000);
  const root = newFolder();
  const at = (name: string) => path.join(root, name);
  const who = ['-c', 'user.name=Eva', '-c', 'user.email=eva@example.org', '-c', 'commit.gpgsign=false'];
  const git = (...args: string[]) => execFileSync('git', [...who, ...args], { encoding: 'utf8', stdio: 'pipe' });
  const commit = (text: string) => {
    fs.writeFileSync(at('work/file'), text);
    git('-C', at('work'), 'add', 'file');
    git('-C', at('work'), 'commit', '-qm', text);
  };
  const set = sourceSet({ environment: process.env }, [{ name: 'platform', from: at('origin'), mirror: at('mirror') }]);
  const heads = (remote: string) =>
    git('ls-remote', at(remote))
      .split('\n')
      .filter((line) => /refs\/(heads|tags)/.test(line));

  before(() => {
    for (const name of ['origin', 'mirror']) git('init', '-q', '--bare', '-b', 'main', at(name));
    git('init', '-q', '-b', 'main', at('work'));
    commit('one');
    git('-C', at('work'), 'tag', '-a', 'v1', '-m', 'one');
    git('-C', at('work'), 'branch', 'feature');
    commit('two');
    git('-C', at('work'), 'push', '-q', at('origin'), '--all');
    git('-C', at('work'), 'push', '-q', at('origin'), '--tags');
  });

  let files: readonly EstateFile[];
  it('is mirrored to a second remote, the same commit in every branch and tag', async () => {
    files = await set.collect(call());
    expect(heads('mirror')).to.deep.equal(heads('origin')).and.have.length(4);
    expect(await set.compare(files, call())).to.deep.equal([]);
    expect(textOf(files, 'platform.refs').trim().split('\n')).to.have.length(3);
  });

  it('stays in the mirror when somebody rewrites or deletes it at home', async () => {
    const before = heads('mirror');
    git('-C', at('work'), 'reset', '-q', '--hard', 'HEAD~1');
    commit('rewritten');
    git('-C', at('work'), 'push', '-qf', at('origin'), 'main');
    git('-C', at('work'), 'push', '-q', at('origin'), ':feature');
    expect(await faultOf(set.collect(call()))).to.match(/^SourceRewritten: /);
    expect(heads('mirror')).to.deep.equal(before);
    const differences = (await set.compare(files, call())).map(({ what, how }) => `${how} ${what}`);
    expect(differences).to.have.members([
      'different refs/heads/main at platform',
      'missing refs/heads/feature at platform',
    ]);
  });

  it('comes back into remotes that are empty, and never over what was pushed since', async () => {
    const before = heads('mirror');
    for (const name of ['origin', 'mirror']) {
      fs.rmSync(at(name), { recursive: true });
      git('init', '-q', '--bare', '-b', 'main', at(name));
    }
    expect(await set.restore!(files, call())).to.deep.equal([
      '3 refs of platform pushed to its remote',
      '3 refs of platform pushed to the mirror',
    ]);
    expect(heads('origin')).to.deep.equal(before);
    expect(heads('mirror')).to.deep.equal(before);
    expect(await set.restore!(files, call()), 'a second time').to.deep.equal([]);
    git('-C', at('work'), 'push', '-qf', at('origin'), 'main');
    const newer = heads('origin');
    expect(await set.restore!(files, call())).to.deep.equal([]);
    expect(heads('origin')).to.deep.equal(newer);
  });

  it('is a bundle that git alone clones', () => {
    const folder = path.join(newFolder(), 'files');
    writeFiles(files, folder);
    git('clone', '-q', path.join(folder, 'platform.bundle'), path.join(folder, 'clone'));
    expect(fs.readFileSync(path.join(folder, 'clone', 'file'), 'utf8')).to.equal('two');
    expect(() => writeFiles(files, folder)).to.throw(/is not empty/);
  });
});

describe('adapters/backup/estate: secrets', () => {
  const secrets = { databasePassword: 'p-1', session: 's-1' };
  const contextWith = (environment: Record<string, string>, more: object = {}) =>
    ({
      environment,
      landscape: { secrets: { prod: { ...secrets, ...more }, intg: secrets } },
    }) as unknown as AdapterContext;
  const variables = ['CLOUDFLARE_API_TOKEN'];

  it('are those of both sites and the named variables, and no other', async () => {
    const environment = { CLOUDFLARE_API_TOKEN: 't-1', OTHER: 'o-1' };
    const set = secretsSet(contextWith(environment), variables);
    expect(set.secondKey).to.equal(true);
    expect('restore' in set, 'they come back as a file').to.equal(false);
    const files = await set.collect(call());
    expect(JSON.parse(textOf(files, 'secrets.json'))).to.deep.equal({
      sites: { prod: secrets, intg: secrets },
      variables: { CLOUDFLARE_API_TOKEN: 't-1' },
    });
    expect(await set.compare(files, call())).to.deep.equal([]);
    const now = secretsSet(contextWith({}, { databasePassword: 'p-2' }), variables);
    const said = (await now.compare(files, call())).map(describeDifference);
    expect(said).to.deep.equal([
      'different secret databasePassword of prod: values are not shown',
      'missing   variable CLOUDFLARE_API_TOKEN: values are not shown',
    ]);
  });

  it('are not taken while one of them is missing; its name is said', async () => {
    const fault = await faultOf(secretsSet(contextWith({}), variables).collect(call()));
    expect(fault).to.match(/^SecretMissing: CLOUDFLARE_API_TOKEN is not set here/);
  });
});

describe('adapters/backup/estate: images', function () {
  const digest = (digit: string) => `sha256:${digit.repeat(64)}`;
  const asked: string[] = [];
  let server: http.Server;
  let registry: string;
  let gone = false;
  before(async () => {
    server = http.createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      const known = request.url?.endsWith(digest('a')) ?? false;
      response.writeHead(request.url?.startsWith('/v2/closed/') ? 401 : known && !gone ? 200 : 404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.236.30.50', resolve));
    registry = `127.236.30.50:${(server.address() as AddressInfo).port}`;
  });
  after(() => server.close());

  const set = (identity = `${registry}/idp:1@${digest('a')}`, release = `1.4.1@${digest('a')}`) =>
    imagesSet({
      configuration: () =>
        ({ image: `${registry}/platform`, release, agentImage: `${registry}/agent:1@${digest('a')}` }) as never,
      landscape: {
        sites: { prod: { identity: { image: identity } }, intg: { identity: { image: identity } } },
      } as never,
    });

  it('are digests that their registry has', async () => {
    const files = await set().collect(call());
    expect(JSON.parse(textOf(files, 'images.json'))).to.deep.include({
      use: 'release',
      reference: `${registry}/platform:1.4.1@${digest('a')}`,
    });
    expect(asked).to.include(`HEAD /v2/platform/manifests/${digest('a')}`);
    expect(await set().compare(files, call())).to.deep.equal([]);
    const later = await set(undefined, `1.5.0@${digest('a')}`).compare(files, call());
    expect(later.map(({ what, how }) => [what, how])).to.deep.equal([['image of release', 'moves']]);
    gone = true;
    const differences = await set().compare(files, call());
    expect(new Set(differences.map(({ how }) => how))).to.deep.equal(new Set(['missing']));
    expect(await faultOf(set().collect(call()))).to.match(/^ImageGone: .* is not in its registry/);
    gone = false;
  });

  it('are unknown, never green, where a registry shows nothing or is silent', async () => {
    for (const image of [`${registry}/closed/idp:1@${digest('a')}`, `127.236.30.51:1/idp:1@${digest('a')}`]) {
      const files = await set(image).collect(call());
      const differences = await set(image).compare(files, call());
      expect(differences.map(({ what, how }) => [what, how])).to.deep.equal([[`image ${image}`, 'unknown']]);
    }
  });
});

describe('adapters/backup/estate: the journal', function () {
  this.timeout(60_000);
  let store: Store;
  const place = (folder: string) => ({ environment: { STANDBY_RUNS: folder }, container: store.container });
  const write = async (folder: string, run: string, count: number) => {
    const journal = createJournal({ ...place(folder), warn: (message) => expect.fail(message) });
    let last: JournalEntry | undefined;
    for (let seq = 0; seq < count; seq += 1) {
      const what =
        seq === 0
          ? { type: 'plan' as const, plan: {} as Plan, who: 'eva@home' }
          : { type: 'intent' as const, step: 'promote', attempt: seq };
      last = nextEntry(last, run, 1_000 + seq, what as JournalEntry['what']);
      await journal.append(last);
    }
    await journal.close();
  };
  before(async () => {
    store = new Store(238);
    await store.start();
  });
  after(() => store.remove());

  it('is something also where nothing was ever carried out', async () => {
    const set = journalSet(place(newFolder()));
    const files = await set.collect(call());
    expect(textOf(files, 'runs.json')).to.equal('[]\n');
    expect(await set.compare(files, call())).to.deep.equal([]);
    expect(await set.restore!(files, call())).to.deep.equal([]);
  });

  it('comes back on a machine and in a store that know no run', async () => {
    const folder = newFolder();
    await write(folder, 'run-one', 3);
    await write(folder, 'run-two', 2);
    const set = journalSet(place(folder));
    const files = await set.collect(call());
    expect(files.map(({ name }) => name)).to.have.members(['runs.json', 'run-one.jsonl', 'run-two.jsonl']);
    expect(await set.compare(files, call())).to.deep.equal([]);

    await store.remove();
    store = new Store(238);
    await store.start();
    const empty = journalSet(place(newFolder()));
    expect((await empty.compare(files, call())).map(({ how }) => how)).to.deep.equal(['missing', 'missing']);
    expect(await empty.restore!(files, call())).to.have.members(['run run-one: 3 entries', 'run run-two: 2 entries']);
    expect(await empty.restore!(files, call()), 'a second time').to.deep.equal([]);
    // Another machine finds them in the store.
    expect(await journalSet(place(newFolder())).compare(files, call())).to.deep.equal([]);
    const bytes = await store.container().getBlobClient('runs/run-one.jsonl').downloadToBuffer();
    expect(bytes.toString()).to.equal(textOf(files, 'run-one.jsonl'));
  });

  it('never writes over another run of that name', async () => {
    const [one, other] = [newFolder(), newFolder()];
    await write(one, 'run-same', 2);
    const files = await journalSet(place(one)).collect(call());
    const changed = textOf(files, 'run-same.jsonl');
    await store.container().getBlobClient('runs/run-same.jsonl').delete();
    const journal = createJournal({ ...place(other), warn: (message) => expect.fail(message) });
    await journal.append(nextEntry(undefined, 'run-same', 7, { type: 'plan', plan: {} as Plan, who: 'ida@home' }));
    await journal.close();
    const fault = await faultOf(
      journalSet(place(other)).restore!([{ name: 'run-same.jsonl', bytes: Buffer.from(changed) }], call()),
    );
    expect(fault).to.match(/^JournalBroken: run run-same is another one here/);
  });

  it('is not taken where a record is damaged: it would look whole', async () => {
    const folder = newFolder();
    await write(folder, 'run-damaged', 2);
    fs.appendFileSync(path.join(folder, 'run-damaged', 'journal.jsonl'), '~\n~\n');
    expect(await faultOf(journalSet(place(folder)).collect(call()))).to.match(/^JournalBroken: .* run-damaged is not/);
  });

  it('is not taken while the store is silent: it would look whole', async () => {
    await store.stop();
    expect(await faultOf(journalSet(place(newFolder())).collect(call()))).to.match(
      /^JournalIncomplete: the store does not/,
    );
  });
});

describe('adapters/backup/estate: Pulumi’s state', function () {
  this.timeout(300_000);
  let trial: Trial;
  before(async () => {
    trial = await Trial.start();
    fs.appendFileSync(
      path.join(trial.folder, 'index.js'),
      `exports.password = pulumi.secret('a-word-in-the-state');\n`,
    );
    trial.run('up', '--stack', 'failover', '--yes', '--skip-preview');
  });
  after(() => trial.stop());

  it('comes back into an empty backend, sealed all the way, and never over what another one knows', async () => {
    const set = stateSet({ environment: trial.env });
    const files = await set.collect(call());
    expect(files.map(({ name }) => name)).to.deep.equal(['prod.json', 'intg.json', 'failover.json']);
    expect(textOf(files, 'failover.json')).to.contain('ciphertext').and.not.contain('a-word-in-the-state');

    const environment = { ...trial.env, PULUMI_BACKEND_URL: `file://${newFolder()}` };
    const empty = stateSet({ environment });
    expect((await empty.compare(files, call())).map(({ how }) => how)).to.deep.equal(['missing', 'missing', 'missing']);
    expect(await empty.restore!(files, call()))
      .to.include('state of stack failover imported')
      .and.have.length(3);
    const output = ['stack', 'output', 'password', '--show-secrets', '--stack', 'failover', '--cwd', trial.folder];
    expect(execFileSync('pulumi', output, { env: environment, encoding: 'utf8' }).trim()).to.equal(
      'a-word-in-the-state',
    );
    expect(await empty.restore!(files, call()), 'a second time').to.deep.equal([]);

    const older = files.map(({ name, bytes }) => ({
      name,
      bytes: Buffer.from(bytes.toString('utf8').replaceAll('/made/failover-1', '/made/failover-0')),
    }));
    expect(await faultOf(empty.restore!(older, call()))).to.match(/^StateNotEmpty: state of stack failover is another/);
  });
});
