/** The sandbox comes up, survives the death of who starts it, and goes without a trace. */
import { expect } from 'chai';
import { execFile, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';

const standby = path.resolve(__dirname, '..', '..', 'bin', 'standby.js');
const world = { STANDBY_WORLD: '76' };
const env = { ...process.env, ...world };
const sandbox = (...args: string[]) => promisify(execFile)(process.execPath, [standby, 'sandbox', ...args], { env });

/** Processes of this world, by the variable that each of them inherits. */
const leftovers = () =>
  fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return fs.readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes('STANDBY_WORLD=76');
      } catch {
        return false; // ended, or another user's
      }
    });

/** Those of them that lead a group of their own: parts of the sandbox, and none of the programs that its set-up only asks. */
const partsStarted = () =>
  leftovers().filter((pid) => {
    try {
      const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
      return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2] === pid;
    } catch {
      return false; // ended while we looked
    }
  });

describe('the sandbox', function () {
  this.timeout('3m');
  after(() => sandbox('down'));

  it('is cleaned up and started anew after its starter was killed half-way', async () => {
    const starter = spawn(process.execPath, [standby, 'sandbox', 'up'], { env, stdio: 'ignore' });
    const ended = new Promise((resolve) => starter.on('exit', resolve));
    // Half-way: something runs already, and not all of it.
    while (partsStarted().length < 2) await delay(20);
    starter.kill('SIGKILL');
    await ended;
    const orphans = leftovers();
    expect(orphans).to.have.length.of.at.least(2);
    const { stdout } = await sandbox('up');
    expect(stdout).to.match(/sandbox: up in [\d.]+ s/);
    expect(leftovers().filter((pid) => orphans.includes(pid))).to.deep.equal([]);
  });

  it('is left as it is when it is up', async () => {
    const before = leftovers().sort();
    expect((await sandbox('up')).stdout).to.include('sandbox: already up');
    expect(leftovers().sort()).to.deep.equal(before);
  });

  it('shows what runs and what is silent', async () => {
    await sandbox('silence', 'prod-cluster');
    expect((await sandbox('status')).stdout).to.match(/^silent +prod: cluster$/m);
    await sandbox('restore', 'prod-cluster');
    const status = JSON.parse((await sandbox('status', '--json')).stdout) as { up: boolean; silence: object };
    expect(status).to.deep.include({ up: true, silence: { prod: 'none', intg: 'none' } });
  });

  it('is kept, and goes back to what was kept', async () => {
    const kubectl = async (...args: string[]) => {
      const { STANDBY_HOME: home = path.resolve(__dirname, '..', '..', '.standby') } = process.env;
      const kubeconfig = path.join(home, 'run', 'kubernetes', 'prod', 'kubeconfig');
      return promisify(execFile)('kubectl', ['--kubeconfig', kubeconfig, ...args]);
    };
    await kubectl('create', 'configmap', 'before');
    expect((await sandbox('keep', 'lifecycle')).stdout).to.equal('kept as lifecycle\n');
    await kubectl('create', 'configmap', 'after');
    expect((await sandbox('rewind', 'lifecycle')).stdout).to.equal('back to lifecycle\n');
    await kubectl('get', 'configmap', 'before');
    const missing = await kubectl('get', 'configmap', 'after').then(
      () => '',
      (cause: { stderr: string }) => cause.stderr,
    );
    expect(missing).to.match(/NotFound/);
  });

  it('prints the log of a part, and says which parts there are when it is asked for another', async () => {
    expect((await sandbox('logs', 'azure')).stdout).to.include('"ready":true');
    const refusal = await sandbox('logs', 'moon').then(
      () => '',
      (cause: { stderr: string }) => cause.stderr,
    );
    expect(refusal).to.match(/^standby: part "moon" is not known; allowed: blob, azure, .*\n$/);
  });

  it('leaves no process behind when it goes', async () => {
    expect((await sandbox('down')).stdout).to.match(/sandbox: down in/);
    expect(leftovers()).to.deep.equal([]);
  });
});
