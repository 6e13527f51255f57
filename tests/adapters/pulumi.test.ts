import { expect } from 'chai';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { loadConfiguration, writeSwitch } from '../../adapters/pulumi/configuration';
import { pulumi } from '../../adapters/pulumi/command';
import { pulumiFailed } from '../../adapters/pulumi/fault';
import { readLandscape } from '../../adapters/pulumi/landscape';
import { readStacks } from '../../adapters/pulumi/readings';
import { createStacks } from '../../adapters/pulumi/stacks';
import { freeLock, holdersIn } from '../../adapters/pulumi/takeover';
import { known } from '../../failover/model';
import type { StandbyError } from '../../failover/errors';
import { call, Trial, until } from './trial/trial';

const faultOf = (act: Promise<unknown>) =>
  act.then(
    () => undefined,
    (cause: StandbyError) => cause,
  );

/** Processes of the engine that work on the trial. */
const engines = (folder: string): number[] =>
  fs.readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const command = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      return path.basename(command[0] ?? '') === 'pulumi' && command.includes(folder) ? [Number(pid)] : [];
    } catch {
      return [];
    }
  });

describe('adapters/pulumi', function () {
  this.timeout(300_000);
  let trial: Trial;
  before(async () => {
    trial = await Trial.start();
  });
  after(() => trial.stop());

  const switchTo = (epoch: number) => writeSwitch(trial.env, { ...loadConfiguration(trial.env), epoch });
  /** Makes everything up to an epoch, whatever was tried before. */
  const settle = async (epoch: number) => {
    fs.rmSync(trial.cloud('hold'), { force: true });
    switchTo(epoch);
    await createStacks(trial.context).update(call());
  };

  describe('configuration', () => {
    const file = () => path.join(trial.folder, 'Pulumi.failover.yaml');

    it('changes what differs and keeps comments, order and secrets', () => {
      const before = fs.readFileSync(file(), 'utf8');
      const secret = '  other:token:\n    secure: v1:abc\n';
      fs.writeFileSync(file(), `${before.replace('config:\n', `config:\n${secret}`)}`);
      const config = loadConfiguration(trial.env);
      const recovery = { epoch: 2, site: 'intg', method: 'geoRestore', from: 'psql-moodtalk-prod' } as const;
      writeSwitch(trial.env, { ...config, activeSite: 'intg', unreachable: 'prod-cluster', epoch: 2, stage: 'made' });
      const after = fs.readFileSync(file(), 'utf8');
      expect(after).to.contain(secret).and.to.contain('# Recovery objectives').and.to.contain('standby:stage: made');
      expect(loadConfiguration(trial.env)).to.include({ activeSite: 'intg', epoch: 2, stage: 'made' });
      writeSwitch(trial.env, {
        ...config,
        activeSite: 'intg',
        database: 'restored',
        identity: 'restored',
        unreachable: 'prod',
        epoch: 2,
        recoveries: [recovery],
      });
      expect(loadConfiguration(trial.env).recoveries).to.deep.equal([recovery]);
      expect(fs.readFileSync(file(), 'utf8'), 'a default is absent').not.to.contain('standby:stage');
      fs.writeFileSync(file(), before);
    });

    it('writes nothing that the program would refuse, and names the value', () => {
      const before = fs.readFileSync(file(), 'utf8');
      const config = loadConfiguration(trial.env);
      expect(() => writeSwitch(trial.env, { ...config, activeSite: 'prod', unreachable: 'prod' })).to.throw(
        /activeSite/,
      );
      expect(fs.readFileSync(file(), 'utf8')).to.equal(before);
      expect(fs.readdirSync(trial.folder).filter((name) => name.endsWith('.new'))).to.deep.equal([]);
    });

    it('says in one line that it is run in the wrong folder', () => {
      expect(() => loadConfiguration({ STANDBY_PROJECT: '/nowhere' })).to.throw(/^[^\n]*STANDBY_PROJECT[^\n]*$/);
    });
  });

  it('updates, tells what it does, and previews what is left', async () => {
    const said: string[] = [];
    const stacks = createStacks(trial.context);
    expect(await stacks.update(call(said))).to.deep.equal({ changed: 2 });
    expect(said).to.include('create azure-native:trial:Thing thing-1');
    expect((await stacks.previews(call())).failover).to.deep.equal([]);
    switchTo(2);
    expect((await stacks.previews(call())).failover).to.deep.equal([
      'change azure-native:trial:Thing thing-1',
      'create azure-native:trial:Thing thing-2',
    ]);
  });

  it('tells a fault that passes from one that stays, in one line', async () => {
    const stacks = createStacks(trial.context);
    fs.writeFileSync(trial.cloud('fault'), 'StatusCode=429, Code="TooManyRequests", asked with trial-passphrase');
    const passing = await faultOf(stacks.update(call()));
    expect(passing).to.include({ code: 'PulumiFailed', retryable: true });
    expect(passing?.message).to.contain('thing-1').and.not.to.contain('\n').and.not.to.contain('trial-passphrase');
    fs.writeFileSync(trial.cloud('fault'), 'StatusCode=400, Code="BadRequest"');
    expect(await faultOf(stacks.update(call()))).to.include({ code: 'PulumiFailed', retryable: false });
    expect(await stacks.update(call())).to.deep.equal({ changed: 2 });
  });

  it('knows how far the stacks are, and why it does not know', async () => {
    const before = await readStacks(trial.env);
    expect(known(before.failover)).to.deep.include({ pending: false });
    switchTo(3);
    await createStacks(trial.context).update(call());
    const after = await readStacks(trial.env);
    expect(known(after.failover)!.serial).to.be.greaterThan(known(before.failover)!.serial);
    expect(known(after.prod)).to.deep.equal(known(before.prod));
    const lost = await readStacks({ ...trial.env, PULUMI_BACKEND_URL: 'file:///nowhere' });
    expect(lost.failover).to.have.property('unknown').that.contains('nowhere');
    const fault = await faultOf(readLandscape(trial.env, new AbortController().signal));
    expect(fault).to.include({ code: 'LandscapeUnread' });
  });

  it('ends the engine when it is aborted, and goes on after it', async () => {
    await settle(3);
    switchTo(4);
    fs.writeFileSync(trial.cloud('hold'), '');
    const given = new AbortController();
    const update = faultOf(createStacks(trial.context).update(call([], given.signal)));
    await until('a thing half made', () => fs.existsSync(trial.cloud('failover-4')));
    given.abort(new Error('given up'));
    expect((await update)?.message).to.equal('given up');
    expect(engines(trial.folder)).to.deep.equal([]);
    fs.rmSync(trial.cloud('hold'));
    await createStacks(trial.context).update(call());
    expect((await createStacks(trial.context).previews(call())).failover).to.deep.equal([]);
  });

  it('is killed in the middle of making something: the engine ends too, and the next run takes over what was made', async () => {
    await settle(4);
    switchTo(5);
    fs.writeFileSync(trial.cloud('hold'), '');
    const command = ['-r', 'ts-node/register/transpile-only', path.join(__dirname, 'trial', 'update.ts')];
    const child: ChildProcess = spawn(process.execPath, command, { env: { ...trial.env }, stdio: 'ignore' });
    await until('a thing half made', () => fs.existsSync(trial.cloud('failover-5')));
    child.kill('SIGKILL');
    await once(child, 'exit');

    await until('the killed run’s engine at an end', () => engines(trial.folder).length === 0);
    fs.rmSync(trial.cloud('hold'));
    const said: string[] = [];
    const stacks = createStacks(trial.context);
    await stacks.unlock(call());
    await stacks.update(call(said));
    expect(said).to.include('takes over 1 resources that an update was making when it was cut off');
    expect((await stacks.previews(call())).failover).to.deep.equal([]);
  });

  it('waits for an update that somebody runs on this machine, and gives up the lock of one that was killed', async () => {
    await settle(5);
    switchTo(6);
    fs.writeFileSync(trial.cloud('hold'), '');
    const command = [
      '--cwd',
      trial.folder,
      '--non-interactive',
      'up',
      '--yes',
      '--skip-preview',
      '--stack',
      'failover',
    ];
    const person = spawn('pulumi', command, { env: trial.env, stdio: 'ignore' });
    await until('a thing half made', () => fs.existsSync(trial.cloud('failover-6')));
    const said: string[] = [];
    const update = createStacks(trial.context).update(call(said));
    await until('our update waits', () =>
      said.includes(`waits for the update of failover that process ${person.pid} runs`),
    );
    person.kill('SIGKILL');
    fs.rmSync(trial.cloud('hold'));
    await update;
    expect(said).to.include('gives up the lock that a dead process left on failover');
    expect(said).to.include('takes over 1 resources that an update was making when it was cut off');
    expect((await createStacks(trial.context).previews(call())).failover).to.deep.equal([]);
  });

  it('leaves the lock of somebody on another machine alone, unless that machine’s run was taken over', async () => {
    const text = `the stack is currently locked by 1 lock(s).\n  file:///x: created by eva@elsewhere (pid 77) at ${new Date().toISOString()}`;
    const [holder] = holdersIn(text);
    expect(holder).to.include({ user: 'eva', host: 'elsewhere', pid: 77 });
    const free = (isGone: boolean) => freeLock(trial.env, 'failover', [holder!], () => isGone, call());
    const fault = await faultOf(free(false));
    expect(fault).to.include({ code: 'StackLocked', exit: 'person', retryable: true });
    expect(fault?.message).to.contain('eva@elsewhere (process 77, since ').and.not.to.contain('\n');
    expect(await faultOf(free(true))).to.equal(undefined);
  });

  it('says what is missing when there is no engine', async () => {
    const env = { ...trial.env, PATH: path.dirname(process.execPath) };
    const fault = await faultOf(pulumi(env, ['version'], { signal: new AbortController().signal }));
    expect(fault).to.include({ code: 'PulumiMissing' });
  });

  it('is tried again where a cluster or a vendor was in trouble for a moment', () => {
    const said = (text: string) =>
      pulumiFailed('pulumi up', `Diagnostics:\n  kubernetes:…:\n    error: ${text}\n`).retryable;
    for (const text of [
      'Internal error occurred: etcdserver: request timed out',
      'the server has received too many requests and has asked us to try again later',
      'Post "https://10.0.0.1/apis/apps/v1": EOF',
      'configured Kubernetes cluster is unreachable: unable to load schema information from the API server',
      'Status=503 Code="ServiceUnavailable"',
    ])
      expect(said(text), text).to.equal(true);
    expect(said('deployments.apps "api" is forbidden: User "x" cannot patch')).to.equal(false);
  });

  it('names every value that a configuration is refused for', () => {
    const text =
      'the configuration of stack failover is refused, 2 values are wrong; nothing was touched\n  standby:a is 1; to fix: x\n  standby:b is 2; to fix: y\n';
    const fault = pulumiFailed('pulumi up', text);
    expect(fault.message).to.equal(
      'pulumi up failed: the configuration is refused: standby:a is 1; to fix: x; standby:b is 2; to fix: y',
    );
    expect(fault.retryable).to.equal(false);
  });
});
