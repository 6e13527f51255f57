/**
 * The main job, as a person runs it, in a world of its own; then bad input against the world that it leaves up.
 * Each refusal must be one clear line, a non-zero exit, and nothing changed.
 */
import { expect } from 'chai';
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { Agent, fetch } from 'undici';
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
  this.timeout('25m');
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
  const exported = () => pulumi('failover', ['stack', 'export', '--show-secrets']);
  /** What each resource is, as a digest: a difference names the resource and shows no secret. */
  const fingerprints = (text: string) => {
    const { deployment } = JSON.parse(text) as { deployment: { resources: Record<string, unknown>[] } };
    const digest = (resource: object) => createHash('sha256').update(JSON.stringify(resource)).digest('hex');
    // The engine notes with which configuration it asked: that is the refused token, and nothing that was touched.
    const touchable = deployment.resources.filter(({ type }) => !String(type).startsWith('pulumi:providers:'));
    return new Map(touchable.map(({ urn, id, inputs, outputs }) => [urn, digest({ id, inputs, outputs })]));
  };
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
        refusedWritesSeconds: number;
        dataLossWindowSeconds: number;
        rowsLost: number;
        steps: unknown[];
      }[];
      previewsClean: boolean;
    };
    expect(result.previewsClean).to.equal(true);
    expect(result.branches.map(({ branch }) => branch)).to.deep.equal(['1a', '1b', 'switchover', '1c']);
    for (const branch of result.branches) {
      expect(branch.recoveryTimeSeconds).to.be.greaterThan(0);
      expect(branch.refusedWritesSeconds)
        .to.be.greaterThan(0)
        .and.at.most(branch.recoveryTimeSeconds + 1);
      expect(branch.steps).to.have.length.greaterThan(5);
    }
    for (const lossless of [result.branches[0], result.branches[2]])
      expect(lossless).to.include({ rowsLost: 0, dataLossWindowSeconds: 0 });
  });

  it('takes at most 6 GiB for everything', async () => {
    const { output } = await command(process.execPath, [standby, 'sandbox', 'status', '--json'], world);
    const status = JSON.parse(output) as { up: boolean; memory: number };
    expect(status.up).to.equal(true);
    expect(status.memory).to.be.within(500, 6 * 1024);
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
      /** Token for Cloudflare, put into the configuration. */
      readonly token?: () => Promise<string>;
      readonly env?: Readonly<Record<string, string>>;
      readonly says: RegExp;
    }

    /** A token that may read zones and nothing else, made as an operator makes one. */
    async function readingToken(): Promise<string> {
      const dispatcher = new Agent({ connect: { ca: fs.readFileSync(people['SSL_CERT_FILE'] ?? '', 'utf8') } });
      const call = async (route: string, body?: object) => {
        const response = await fetch(`${people['CLOUDFLARE_BASE_URL']}${route}`, {
          dispatcher,
          method: body ? 'POST' : 'GET',
          headers: { authorization: `Bearer ${people['CLOUDFLARE_API_TOKEN']}`, 'content-type': 'application/json' },
          ...(body ? { body: JSON.stringify(body) } : {}),
        });
        return ((await response.json()) as { result: unknown }).result;
      };
      const groups = (await call('/user/tokens/permission_groups')) as { id: string; name: string }[];
      const group = groups.find(({ name }) => name === 'Zone Read');
      const resources = { 'com.cloudflare.api.account.zone.*': '*' };
      const policies = [{ effect: 'allow', resources, permission_groups: [{ id: group?.id }] }];
      const { value } = (await call('/user/tokens', { name: 'reads zones', policies })) as { value: string };
      return value;
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
      {
        what: 'a host outside the zone',
        set: { 'hosts.admin': 'admin.example.com' },
        says: /hosts\.admin.*admin\.example\.com/,
      },
      {
        what: 'a token that may not edit DNS',
        token: readingToken,
        says: /CLOUDFLARE_API_TOKEN may #zone:read .*needed is #dns_records:edit/,
      },
      {
        what: 'a token that Cloudflare does not know',
        token: () => Promise.resolve('x'.repeat(40)),
        says: /zone moodtalk\.ch can't be read at Cloudflare/,
      },
      { what: 'no token', token: () => Promise.resolve(''), says: /no API token; set CLOUDFLARE_API_TOKEN/ },
      {
        what: 'a wrong passphrase',
        env: { PULUMI_CONFIG_PASSPHRASE: 'wrong', PULUMI_CONFIG_PASSPHRASE_FILE: '' },
        says: /passphrase/,
      },
    ];

    for (const { what, set, token, env, says } of refusals) {
      it(what, async () => {
        const configuration = fs.readFileSync(failoverFile(), 'utf8');
        const before = (await exported()).output;
        try {
          for (const [key, value] of Object.entries(set ?? {}))
            expect((await pulumi('failover', ['config', 'set', '--path', `standby:${key}`, value])).code).to.equal(0);
          if (token) {
            const set = await pulumi('failover', ['config', 'set', '--secret', 'cloudflare:apiToken', await token()]);
            expect(set.code, set.output).to.equal(0);
          }
          const outcome = await pulumi('failover', ['up', '--yes', '--skip-preview'], env);
          expect(outcome.code).to.not.equal(0);
          expect(outcome.output).to.match(says);
          expect(outcome.output).to.not.match(/\n\s+at .*\(.*:\d+:\d+\)/, 'a stack trace');
        } finally {
          fs.writeFileSync(failoverFile(), configuration);
        }
        expect(fingerprints((await exported()).output)).to.deep.equal(fingerprints(before));
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

    it('a disk without room', async function () {
      if (process.getuid?.() !== 0) this.skip(); // only root can make a small disk
      const small = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-small-'));
      await run('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', small]);
      try {
        const outcome = await command(process.execPath, [standby, 'sandbox', 'up'], {
          STANDBY_WORLD: '79',
          STANDBY_HOME: small,
        });
        expect(outcome.code).to.equal(1);
        expect(outcome.output.trim().split('\n')).to.have.length(1);
        expect(outcome.output).to.match(/^standby: disk of .* GiB free; at least 3\.0 GiB are needed; free some/);
        expect(fs.readdirSync(small)).to.deep.equal([]);
      } finally {
        await run('umount', [small]);
        fs.rmdirSync(small);
      }
    });

    it('a site that is none', async () => {
      const outcome = await command(process.execPath, [standby, 'sandbox', 'silence', 'mars'], world);
      expect(outcome).to.deep.include({ code: 2 });
      expect(outcome.output).to.match(/site "mars" is not known; allowed: prod, prod-cluster, prod-isolated, intg, /);
    });
  });
});
