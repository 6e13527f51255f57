import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { createJournal, type TwofoldJournal } from '../../adapters/journal/journal';
import { type StandbyError } from '../../failover/errors';
import { nextEntry, readLines, toLine, verifyChain } from '../../failover/journal';
import type { Plan } from '../../failover/model';
import type { JournalEntry } from '../../failover/ports';
import { Store } from './store';
import { until } from './trial/trial';

const faultOf = (act: Promise<unknown>) =>
  act.then(
    () => undefined,
    (cause: StandbyError) => cause,
  );

describe('adapters/journal', function () {
  this.timeout(120_000);
  const store = new Store(151);
  const folders: string[] = [];
  const machineFolder = () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-runs-'));
    folders.push(folder);
    return folder;
  };
  const warnings: string[] = [];
  const open = (folder: string): TwofoldJournal =>
    createJournal({
      environment: { STANDBY_RUNS: folder },
      container: store.container,
      warn: (message) => warnings.push(message),
    });
  let number = 0;
  const newRun = () => `run-${++number}`;
  const first = (run: string) =>
    nextEntry(undefined, run, Date.now(), { type: 'plan', plan: {} as Plan, who: 'eva@home' });
  const next = (last: JournalEntry, attempt = 1) =>
    nextEntry(last, last.run, Date.now(), { type: 'intent', step: 'promote', attempt });
  const begun = async (journal: TwofoldJournal, run: string, length: number) => {
    const entries = [first(run)];
    while (entries.length < length) entries.push(next(entries.at(-1)!));
    for (const entry of entries) await journal.append(entry);
    return entries;
  };
  const localFile = (folder: string, run: string) => path.join(folder, run, 'journal.jsonl');
  const remote = async (run: string) => {
    const bytes = await store.container().getBlobClient(`runs/${run}.jsonl`).downloadToBuffer();
    return readLines(bytes.toString()).entries;
  };

  before(() => store.start());
  beforeEach(() => warnings.splice(0));
  after(async () => {
    await store.remove();
    for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true });
  });

  it('keeps every entry here and in the store, for its owner’s eyes only', async () => {
    const folder = machineFolder();
    const run = newRun();
    const entries = await begun(open(folder), run, 3);
    expect(await remote(run)).to.deep.equal(entries);
    expect(await open(folder).read(run)).to.deep.equal(entries);
    expect(fs.statSync(localFile(folder, run)).mode & 0o777).to.equal(0o600);
    expect(fs.statSync(path.join(folder, run)).mode & 0o777).to.equal(0o700);
  });

  it('lets another machine go on, and brings its disk up to date', async () => {
    const run = newRun();
    const entries = await begun(open(machineFolder()), run, 3);
    const there = machineFolder();
    const journal = open(there);
    expect((await journal.read()).at(-1)).to.deep.equal(entries[2]);
    const fourth = next(entries[2]!);
    await journal.append(fourth);
    expect(await remote(run)).to.deep.equal([...entries, fourth]);
    expect(readLines(fs.readFileSync(localFile(there, run), 'utf8')).entries).to.have.length(4);
  });

  it('stops the first writer when a second one has gone on', async () => {
    const run = newRun();
    const one = open(machineFolder());
    const entries = await begun(one, run, 2);
    const two = open(machineFolder());
    await two.read(run);
    await two.append(next(entries[1]!, 2));
    const fault = await faultOf(one.append(next(entries[1]!, 1)));
    expect(fault).to.include({ code: 'RunLost', exit: 'person' });
    expect(await faultOf(one.append(next(entries[1]!, 1))), 'and for good').to.include({ code: 'RunLost' });
    expect((await remote(run)).at(-1)?.what).to.deep.include({ attempt: 2 });
  });

  it('tolerates a line that was cut off, and goes on after the last whole one', async () => {
    const folder = machineFolder();
    const run = newRun();
    const entries = await begun(open(folder), run, 2);
    const torn = JSON.stringify(next(entries[1]!)).slice(0, -20) + 'ü'.slice(0, 1);
    fs.appendFileSync(localFile(folder, run), torn);
    const journal = open(folder);
    expect(await journal.read(run)).to.deep.equal(entries);
    const third = next(entries[1]!);
    await journal.append(third);
    expect(await open(folder).read(run)).to.deep.equal([...entries, third]);
    expect(await remote(run)).to.deep.equal([...entries, third]);
  });

  it('refuses a journal that was changed, or that is another one in the store', async () => {
    const folder = machineFolder();
    const run = newRun();
    await begun(open(folder), run, 3);
    const text = fs.readFileSync(localFile(folder, run), 'utf8');
    fs.writeFileSync(localFile(folder, run), text.replace('"attempt":1', '"attempt":7'));
    expect(await faultOf(open(folder).read(run))).to.include({ code: 'JournalBroken', exit: 'person' });
    const [plan] = readLines(text).entries;
    const other = next(plan!, 9);
    fs.writeFileSync(localFile(folder, run), [plan, other].map((entry) => `${JSON.stringify(entry)}\n`).join(''));
    const fault = await faultOf(open(folder).read(run));
    expect(fault).to.include({ code: 'JournalBroken', exit: 'person' });
    expect(fault?.message).to.contain('keep both');
  });

  it('goes on without the store, says so once, and catches up in order', async () => {
    const folder = machineFolder();
    const run = newRun();
    const journal = open(folder);
    const entries = await begun(journal, run, 2);
    await store.stop();
    try {
      for (let more = 0; more < 3; more++) {
        entries.push(next(entries.at(-1)!));
        await journal.append(entries.at(-1)!);
      }
      expect(warnings).to.have.length(1);
      expect(await open(folder).read(run)).to.deep.equal(entries);
    } finally {
      await store.start();
    }
    await until('the store has all', () => warnings.some((line) => line.includes('complete')));
    expect(await remote(run)).to.deep.equal(entries);
    entries.push(next(entries.at(-1)!));
    await journal.append(entries.at(-1)!);
    expect(await remote(run)).to.deep.equal(entries);
  });

  it('catches up before the process ends', async () => {
    const folder = machineFolder();
    const run = newRun();
    const journal = open(folder);
    await store.stop();
    const plan = first(run);
    await journal.append(plan);
    await store.start();
    await journal.close();
    expect(await remote(run)).to.deep.equal([plan]);
  });

  it('knows its own entry again when the answer was lost', async () => {
    const run = newRun();
    const folder = machineFolder();
    const journal = open(folder);
    const entries = await begun(journal, run, 1);
    const second = next(entries[0]!);
    const blob = store.container().getAppendBlobClient(`runs/${run}.jsonl`);
    const line = `${JSON.stringify(second)}\n`;
    await blob.appendBlock(line, Buffer.byteLength(line));
    await journal.append(second);
    expect(await remote(run)).to.deep.equal([...entries, second]);
  });

  it('does nothing when the disk is full or closed to it', async function () {
    const folder = machineFolder();
    const run = newRun();
    const script = `ulimit -f 8; exec "$0" -r ts-node/register/transpile-only "$1" "$2"`;
    const child = spawn('bash', ['-c', script, process.execPath, path.join(__dirname, 'trial', 'append.ts'), run], {
      env: { ...process.env, ...store.variables, STANDBY_RUNS: folder, TS_NODE_TRANSPILE_ONLY: '1' },
    });
    let said = '';
    child.stderr.on('data', (text: Buffer) => (said += text.toString()));
    let done = 0;
    child.stdout.on('data', (text: Buffer) => (done = Number(text.toString().trim().split('\n').at(-1))));
    await once(child, 'close');
    expect(said).to.contain('JournalDiskFull').and.to.contain('make room');
    const entries = await open(folder).read(run);
    expect(entries.length).to.equal(done);
    expect(await remote(run), 'nothing in the store that is not on the disk').to.deep.equal(entries);
  });

  it('is killed in the middle of appending, again and again: the chain holds, nothing that was confirmed is missing', async () => {
    const folder = machineFolder();
    const run = newRun();
    let confirmed = 0;
    for (let round = 1; round <= 6; round++) {
      const script = ['-r', 'ts-node/register/transpile-only', path.join(__dirname, 'trial', 'append.ts'), run];
      const child = spawn(process.execPath, script, {
        env: { ...process.env, ...store.variables, STANDBY_RUNS: folder },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const start = confirmed;
      child.stdout.on('data', (text: Buffer) => (confirmed = Number(text.toString().trim().split('\n').at(-1))));
      await until('some entries', () => confirmed >= start + 3 * round);
      child.kill('SIGKILL');
      await once(child, 'close');
      const entries = await open(folder).read(run);
      verifyChain(entries);
      expect(entries.length).to.be.within(confirmed, confirmed + 1);
      expect((await remote(run)).length).to.be.within(confirmed, entries.length);
    }
  });

  it('goes by the store where a run is over there, however this machine’s copy ends', async () => {
    const folder = machineFolder();
    const run = newRun();
    const [plan, second] = (await begun(open(folder), run, 2)) as [JournalEntry, JournalEntry];
    // Another machine goes on, while this one still writes what the store does not get.
    fs.appendFileSync(localFile(folder, run), toLine(next(second, 2)));
    const there = open(machineFolder());
    const resumed = nextEntry(second, run, Date.now(), { type: 'resume', who: 'ida@work' });
    await there.append(resumed);
    const undecided = await faultOf(open(folder).read());
    expect(undecided).to.include({ code: 'JournalBroken', exit: 'person' });
    expect(undecided?.message).to.contain('resume on the machine that wrote');

    const end = nextEntry(resumed, run, Date.now(), { type: 'end', outcome: 'done' });
    await there.append(end);
    expect(warnings).to.deep.equal([]);
    expect(await open(folder).read()).to.deep.equal([plan, second, resumed, end]);
    expect(warnings.splice(0).join()).to.contain(`run ${run} is another one here`).and.contain('it is over (done)');
    expect(await faultOf(open(folder).read(run)), 'asked for by name').to.include({ code: 'JournalBroken' });
    const later = await begun(open(machineFolder()), newRun(), 2);
    expect(await open(folder).read()).to.deep.equal(later);
    expect(warnings, 'of one that is not the newest').to.deep.equal([]);
    const listed = (await open(folder).runs()).find((one) => one.run === run);
    expect(listed?.broken).to.include({ code: 'JournalBroken' });
    expect(listed?.entries).to.deep.equal(await remote(run));
  });

  it('goes by the store where only this machine’s copy is damaged, and by nothing else', async () => {
    const folder = machineFolder();
    const run = newRun();
    const entries = await begun(open(folder), run, 2);
    const whole = fs.readFileSync(localFile(folder, run), 'utf8');
    fs.writeFileSync(localFile(folder, run), whole.replace('"attempt":1', '"attempt":7'));
    expect(await faultOf(open(folder).read()), 'it has not ended').to.include({ code: 'JournalBroken' });
    const end = nextEntry(entries[1], run, Date.now(), { type: 'end', outcome: 'aborted' });
    await open(machineFolder()).append(end);
    expect(await open(folder).read()).to.deep.equal([...entries, end]);
    await store.stop();
    try {
      expect(await faultOf(open(folder).read()), 'without the store').to.include({ code: 'JournalBroken' });
    } finally {
      await store.start();
    }
  });

  it('is not stopped by a damaged journal of long ago', async () => {
    const folder = machineFolder();
    const year = 365 * 86_400_000;
    const [oneLine, noLine] = [newRun(), newRun()];
    for (const run of [oneLine, noLine]) {
      const plan = nextEntry(undefined, run, Date.now() - year, { type: 'plan', plan: {} as Plan, who: 'eva@home' });
      fs.mkdirSync(path.join(folder, run));
      fs.writeFileSync(localFile(folder, run), `${run === oneLine ? toLine(plan) : ''}~\n~\n`);
    }
    // Nobody can say when that one began: it is as old as its file.
    expect(await faultOf(open(folder).read())).to.include({ code: 'JournalBroken' });
    fs.utimesSync(localFile(folder, noLine), new Date(), new Date(Date.now() - year));
    const run = newRun();
    const entries = await begun(open(folder), run, 2);
    expect(await open(folder).read()).to.deep.equal(entries);
    const runs = await open(folder).runs();
    expect(runs[0]).to.deep.equal({ run, entries });
    for (const name of [oneLine, noLine]) {
      const damaged = runs.find((one) => one.run === name);
      expect(damaged?.entries).to.deep.equal([]);
      expect(damaged?.broken?.message).to.contain(`run ${name} is not as it was written`);
    }
  });

  it('lists runs of all machines, the newest first', async () => {
    const folder = machineFolder();
    const run = newRun();
    await begun(open(machineFolder()), run, 2);
    const runs = await open(folder).runs();
    expect(runs[0]).to.include({ run });
    expect(runs.length).to.be.greaterThan(5);
    expect(await faultOf(open(folder).read('../x'))).to.include({ code: 'RunUnknown', exit: 'usage' });
    expect(await open(folder).read('no-such-run')).to.deep.equal([]);
  });
});
