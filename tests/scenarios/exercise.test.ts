/**
 * The main job, as a person runs it, in a world of its own; then bad input against the world that it leaves up.
 * Each refusal must be one clear line, a non-zero exit, and nothing changed.
 */
import { expect } from 'chai';
import { execFile, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { promisify } from 'node:util';
import type * as PulumiModule from '../../sandbox/exercise/pulumi';

const repository = path.resolve(__dirname, '..', '..');
const standby = path.join(repository, 'bin', 'standby.js');
const run = promisify(execFile);

interface Outcome {
  readonly code: number;
  readonly output: string;
}

async function command(file: string, args: readonly string[], env: Readonly<Record<string, string>>): Promise<Outcome> {
  try {
    const { stdout, stderr } = await run(file, args, { env: { ...process.env, ...env }, maxBuffer: 64 * 1024 ** 2 });
    return { code: 0, output: stdout + stderr };
  } catch (cause) {
    const fault = cause as { code?: number; stdout?: string; stderr?: string };
    return { code: fault.code ?? -1, output: `${fault.stdout ?? ''}${fault.stderr ?? ''}` };
  }
}

describe('the exercise on the embedded sandbox', function () {
  this.timeout('14m');
  const world = { STANDBY_WORLD: process.env['STANDBY_WORLD'] ?? '77' };
  let people: Record<string, string>;

  const pulumi = (stack: PulumiModule.Stack, args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    command(
      'pulumi',
      ['--cwd', people['STANDBY_PROJECT'] ?? '', '--non-interactive', '--color', 'never', ...args, '--stack', stack],
      {
        ...people,
        ...env,
      },
    );
  const failoverFile = () => path.join(people['STANDBY_PROJECT'] ?? '', 'Pulumi.failover.yaml');

  before(async () => {
    const outcome = await new Promise<number | null>((resolve) => {
      spawn(process.execPath, [standby, 'exercise', '--keep'], {
        env: { ...process.env, ...world },
        stdio: ['ignore', 'inherit', 'inherit'],
      }).on('exit', resolve);
    });
    expect(outcome, 'exit code of the exercise').to.equal(0);
    people = JSON.parse(
      (await command(process.execPath, [standby, 'sandbox', 'env', '--json'], world)).output,
    ) as Record<string, string>;
  });

  after(() => command(process.execPath, [standby, 'sandbox', 'down'], world));

  it('writes figures that the outside client measured', () => {
    const result = JSON.parse(fs.readFileSync(path.join(repository, 'out', 'exercise.json'), 'utf8')) as {
      branches: {
        branch: string;
        recoveryTimeSeconds: number;
        dataLossWindowSeconds: number;
        rowsLost: number;
        steps: unknown[];
      }[];
      previewsClean: boolean;
    };
    expect(result.previewsClean).to.equal(true);
    expect(result.branches.map(({ branch }) => branch)).to.deep.equal(['1a', '1b']);
    for (const branch of result.branches) {
      expect(branch.recoveryTimeSeconds).to.be.greaterThan(0);
      expect(branch.steps).to.have.length.greaterThan(5);
    }
    expect(result.branches[0]).to.include({ rowsLost: 0, dataLossWindowSeconds: 0 });
  });

  it('keeps every secret out of the state, the logs and the report', async () => {
    const secrets = JSON.parse(
      (await pulumi('prod', ['stack', 'output', '--json', '--show-secrets'])).output,
    ) as object;
    const passwords = [...JSON.stringify(secrets).matchAll(/"[^"]*(?:[pP]assword|[sS]ecret)[^"]*":"([^"]{12,})"/g)].map(
      ([, value]) => value ?? '',
    );
    expect(passwords).to.have.length.greaterThan(1);
    const exports = await Promise.all(
      (['prod', 'intg', 'failover'] as const).map((stack) => pulumi(stack, ['stack', 'export'])),
    );
    const logs = path.join(people['STANDBY_HOME'] ?? '', 'run', 'logs');
    const texts = [
      ...exports.map(({ output }) => output),
      ...fs.readdirSync(logs).map((file) => fs.readFileSync(path.join(logs, file), 'utf8')),
      fs.readFileSync(path.join(repository, 'out', 'exercise.json'), 'utf8'),
      (await run('ps', ['-eo', 'args'])).stdout,
    ];
    for (const password of passwords) expect(texts.some((text) => text.includes(password))).to.equal(false);
  });

  describe('refuses, and changes nothing', () => {
    interface Refusal {
      readonly what: string;
      readonly set?: Readonly<Record<string, string>>;
      readonly env?: Readonly<Record<string, string>>;
      readonly says: RegExp;
    }
    const refusals: readonly Refusal[] = [
      { what: 'an active site that is none', set: { activeSite: 'staging' }, says: /activeSite.*staging.*prod.*intg/ },
      { what: 'an unknown key', set: { activeSites: 'intg' }, says: /activeSites/ },
      {
        what: 'a database restored without a restore',
        set: { activeSite: 'prod', database: 'restored' },
        says: /database.*restored/,
      },
      { what: 'a release without a digest', set: { release: '1.4.2' }, says: /release.*1\.4\.2.*sha256/ },
      { what: 'a host outside the zone', set: { 'hosts[0]': 'admin.example.com' }, says: /hosts.*admin\.example\.com/ },
      {
        what: 'a wrong passphrase',
        env: { PULUMI_CONFIG_PASSPHRASE: 'wrong', PULUMI_CONFIG_PASSPHRASE_FILE: '' },
        says: /passphrase/,
      },
    ];

    for (const { what, set, env, says } of refusals) {
      it(what, async () => {
        const configuration = fs.readFileSync(failoverFile(), 'utf8');
        const before = (await pulumi('failover', ['stack', 'export'])).output;
        try {
          for (const [key, value] of Object.entries(set ?? {}))
            await pulumi('failover', ['config', 'set', '--path', `standby:${key}`, value]);
          const outcome = await pulumi('failover', ['up', '--yes', '--skip-preview'], env);
          expect(outcome.code).to.not.equal(0);
          expect(outcome.output).to.match(says);
          expect(outcome.output).to.not.match(/\n\s+at .*\(.*:\d+:\d+\)/, 'a stack trace');
        } finally {
          fs.writeFileSync(failoverFile(), configuration);
        }
        const resources = (text: string) =>
          (JSON.parse(text) as { deployment: { resources: unknown } }).deployment.resources;
        expect(resources((await pulumi('failover', ['stack', 'export'])).output)).to.deep.equal(resources(before));
      });
    }

    it('one of two failover updates at once, naming the lock', async () => {
      const release = fs.readFileSync(failoverFile(), 'utf8');
      const outcomes = await Promise.all([0, 1].map(() => pulumi('failover', ['up', '--yes', '--skip-preview'])));
      fs.writeFileSync(failoverFile(), release);
      expect(outcomes.map(({ code }) => code === 0).sort()).to.deep.equal([false, true]);
      expect(outcomes.find(({ code }) => code !== 0)?.output).to.match(/currently locked by/);
    });

    it('a port that is in use', async () => {
      const holder = net.createServer();
      await new Promise<void>((resolve) => holder.listen(8443, '127.78.30.10', resolve));
      try {
        const home = { STANDBY_WORLD: '78', STANDBY_HOME: path.join(people['STANDBY_HOME'] ?? '', 'run', 'second') };
        fs.mkdirSync(home.STANDBY_HOME, { recursive: true });
        fs.symlinkSync(path.join(people['STANDBY_HOME'] ?? '', 'cache'), path.join(home.STANDBY_HOME, 'cache'));
        const outcome = await command(process.execPath, [standby, 'sandbox', 'up'], home);
        expect(outcome.code).to.equal(1);
        expect(outcome.output).to.match(/^standby: port 127\.78\.30\.10:8443 .*must be free.*$/m);
      } finally {
        holder.close();
      }
    });

    it('a site that is none', async () => {
      const outcome = await command(process.execPath, [standby, 'sandbox', 'silence', 'mars'], world);
      expect(outcome).to.deep.include({ code: 2 });
      expect(outcome.output).to.match(/site "mars" is not known; allowed: prod, prod-cluster, intg, intg-cluster/);
    });
  });
});
