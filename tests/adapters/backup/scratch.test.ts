import { expect } from 'chai';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { makeScratch } from '../../../adapters/backup/scratch';

const repository = path.join(__dirname, '..', '..', '..');

describe('adapters/backup: scratch folders', function () {
  this.timeout(60_000);
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-scratch-'));
  const environment = { ...process.env, STANDBY_SCRATCH: root };
  const children: ChildProcess[] = [];
  after(() => {
    for (const child of children) child.kill('SIGKILL');
    fs.rmSync(root, { recursive: true, force: true });
  });

  /** @returns a process that goes on, and the folder that it made with an opened backup in it. */
  async function another(env: NodeJS.ProcessEnv): Promise<{ child: ChildProcess; folder: string }> {
    const script = `
      require('ts-node/register/transpile-only');
      const fs = require('node:fs');
      require('./adapters/backup/scratch').makeScratch('import', process.env).then((folder) => {
        fs.mkdirSync(folder + '/parts');
        fs.writeFileSync(folder + '/parts/1.dat', 'opened');
        console.log(folder);
        setInterval(() => undefined, 1_000);
      });`;
    const child = spawn(process.execPath, ['-e', script], {
      cwd: repository,
      stdio: ['ignore', 'pipe', 'inherit'],
      env,
    });
    children.push(child);
    const [said] = (await once(child.stdout, 'data')) as [Buffer];
    return { child, folder: said.toString().trim() };
  }
  async function kill(child: ChildProcess): Promise<void> {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  it('are where the data have room, for their owner alone', async () => {
    const folder = await makeScratch('dump', environment);
    expect(path.dirname(folder)).to.equal(root);
    expect(fs.statSync(folder).mode & 0o777).to.equal(0o700);
    fs.rmdirSync(folder);
  });

  it('of a killed process are removed by the next that needs one, those of a living process stay', async () => {
    const unset = { ...process.env };
    delete unset['STANDBY_SCRATCH'];
    const [killed, elsewhere, living] = await Promise.all([another(environment), another(unset), another(environment)]);
    expect(path.dirname(elsewhere.folder)).to.equal(os.tmpdir());
    await Promise.all([kill(killed.child), kill(elsewhere.child)]);
    expect(fs.existsSync(path.join(killed.folder, 'parts', '1.dat'))).to.equal(true);
    const own = await makeScratch('verify', environment);
    for (const { folder } of [killed, elsewhere]) expect(fs.existsSync(folder), folder).to.equal(false);
    expect(fs.readdirSync(root)).to.have.members([path.basename(living.folder), path.basename(own)]);
    expect(fs.readFileSync(path.join(living.folder, 'parts', '1.dat'), 'utf8')).to.equal('opened');
    await kill(living.child);
    await makeScratch('export', environment);
    expect(fs.existsSync(living.folder)).to.equal(false);
    expect(fs.existsSync(own)).to.equal(true);
  });

  it('of another machine or container, where the numbers are of other processes, are left alone', async () => {
    const [, , , began, space] = path.basename(await makeScratch('dump', environment)).split('-');
    // No process has a number so large.
    const named = (where = '') => path.join(root, `standby-dump-4194305-${began}-${where}-abcdef`);
    const others = [named(space), named('ffffff')];
    for (const other of others) fs.mkdirSync(other);
    await makeScratch('dump', environment);
    expect(others.map((other) => fs.existsSync(other))).to.deep.equal([false, true]);
  });
});
