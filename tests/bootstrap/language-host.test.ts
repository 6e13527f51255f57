import { expect } from 'chai';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { readToolchain } from '../../sandbox/bootstrap';
import { buildLanguageHost } from '../../sandbox/bootstrap/pulumi';
import { nodeOptions } from '../../sandbox/engine/options';
import { repository } from '../../sandbox/world';
import { command, folder, killAll, removeFolders, type Running } from './support';

const program = `
  import * as pulumi from '@pulumi/pulumi';
  const config = new pulumi.Config();
  class Site extends pulumi.ComponentResource {
    constructor(name: string) {
      super('standby:test:Site', name, { region: config.require('region') });
      this.registerOutputs({});
    }
  }
  new Site('prod');
  console.log('said by the program');
  if (config.getBoolean('fails')) throw new Error('thrown by the program');
  export const password = config.requireSecret('password');
  export const stack = pulumi.getStack();
  export const forever = config.getBoolean('hangs') ? new Promise(() => setInterval(() => {}, 1000)) : 'no';`;

const policy = `
  const { PolicyPack } = require('@pulumi/policy');
  new PolicyPack('test', { policies: [{
    name: 'eea-only', description: 'Data stays in the EEA.', enforcementLevel: 'mandatory',
    validateResource: ({ type, props }, violation) => {
      if (type === 'standby:test:Site' && props.region !== 'westeurope') violation(props.region + ' is outside the EEA');
    },
  }] });`;

const projectFile = `
name: test
runtime: { name: nodejs, options: { typescript: false, nodeargs: "--require ts-node/register/transpile-only" } }
main: index.ts`;

/** A project of its own, on a file backend, with the engine of the toolchain and this repository's language host. */
function project(host: string): (...args: string[]) => Running {
  const where = folder();
  const write = (name: string, text: string) => {
    fs.mkdirSync(path.dirname(path.join(where, name)), { recursive: true });
    fs.writeFileSync(path.join(where, name), text);
  };
  fs.symlinkSync(path.join(repository, 'node_modules'), path.join(where, 'node_modules'));
  write('Pulumi.yaml', projectFile);
  write('index.ts', program);
  write('tsconfig.json', '{"compilerOptions":{"module":"commonjs","moduleResolution":"node10","target":"es2022"}}');
  write('package.json', '{"name":"test","version":"1.0.0","dependencies":{"@pulumi/pulumi":"*","@pulumi/random":"*"}}');
  write('pack/PulumiPolicy.yaml', 'runtime: nodejs\nmain: index.js');
  write('pack/package.json', '{"name":"test","version":"1.0.0"}');
  write('pack/index.js', policy);
  fs.mkdirSync(path.join(where, 'state'));
  const env = {
    PATH: `${path.dirname(host)}:${process.env['PATH']}`,
    PULUMI_HOME: path.join(where, 'home'),
    PULUMI_BACKEND_URL: `file://${where}/state`,
    PULUMI_CONFIG_PASSPHRASE: 'of the test',
    PULUMI_SKIP_UPDATE_CHECK: 'true',
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: 'true',
    TS_NODE_PROJECT: path.join(where, 'tsconfig.json'),
  };
  return (...args) =>
    command(readToolchain().pulumi.path, ['--non-interactive', '--color', 'never', ...args], env, where);
}

describe('the Node language host, under the real engine', function () {
  this.timeout(60_000);
  let pulumi: ReturnType<typeof project>;
  const up = (...args: string[]) => pulumi('up', '--yes', '--skip-preview', ...args).end;
  const set = (name: string, value: string, ...args: string[]) => pulumi('config', 'set', name, value, ...args).end;

  before(async () => {
    const host = path.join(folder(), 'pulumi-language-nodejs');
    await buildLanguageHost(host);
    pulumi = project(host);
    await pulumi('stack', 'init', 'dev').end;
    await set('region', 'westeurope');
    await set('password', 'never in clear text', '--secret');
  });
  after(() => {
    killAll();
    removeFolders();
  });

  it('runs a program with its configuration, shows what it prints, and keeps secrets secret', async () => {
    const { code, output } = await up();
    expect(code, output).to.equal(0);
    expect(output)
      .to.contain('said by the program')
      .and.to.match(/\+ 2 created/);
    const state = (await pulumi('stack', 'export').end).output;
    expect(state).to.contain('"region": "westeurope"').and.to.not.contain('never in clear text');
    expect((await pulumi('stack', 'output', 'password', '--show-secrets').end).output.trim()).to.equal(
      'never in clear text',
    );
  });

  it('changes nothing the second time', async () => {
    const { code, output } = await pulumi('preview', '--expect-no-changes').end;
    expect(code, output).to.equal(0);
    expect(output).to.contain('2 unchanged');
  });

  it('runs a policy pack: a mandatory violation blocks the update, and only then', async () => {
    await set('region', 'eastus');
    const blocked = await up('--policy-pack', 'pack');
    expect(blocked.code).to.not.equal(0);
    expect(blocked.output).to.contain('eastus is outside the EEA');
    expect((await pulumi('stack', 'export').end).output).to.contain('"region": "westeurope"');
    await set('region', 'westeurope');
    const passed = await up('--policy-pack', 'pack');
    expect(passed.code, passed.output).to.equal(0);
  });

  it('fails when the program does, with the program’s own words only', async () => {
    await set('fails', 'true');
    const { code, output } = await up();
    await set('fails', 'false');
    expect(code).to.not.equal(0);
    expect(output).to.contain('thrown by the program').and.to.not.contain('non-zero exit code');
  });

  it('ends with the program when the engine is killed', async () => {
    await set('hangs', 'true');
    const hanging = pulumi('up', '--yes', '--skip-preview');
    await hanging.says('said by the program');
    const [host] = childrenOf(hanging.child.pid);
    const family = [...childrenOf(hanging.child.pid), ...childrenOf(host)];
    hanging.child.kill('SIGKILL');
    await hanging.end;
    const end = Date.now() + 5_000;
    while (family.some(isAlive) && Date.now() < end) await delay(20);
    expect(family).to.have.length(2);
    expect(family.filter(isAlive)).to.deep.equal([]);
    await set('hangs', 'false');
    await pulumi('cancel', '--yes', 'dev').end;
  });

  it('names the packages that a program needs', async () => {
    const { output } = await pulumi('about', '--json').end;
    const about = JSON.parse(output.slice(output.indexOf('{'))) as {
      plugins: { name: string; version: string }[];
      dependencies: { name: string }[];
    };
    expect(about.plugins.map(({ name }) => name)).to.include.members(['nodejs', 'random']);
    expect(about.dependencies.map(({ name }) => name)).to.include.members(['@pulumi/pulumi', '@pulumi/random']);
  });
});

/** @returns the processes that any thread of a process has started. */
const childrenOf = (pid = 0): number[] =>
  fs
    .readdirSync(`/proc/${pid}/task`)
    .flatMap((thread) => fs.readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').trim().split(' '))
    .filter(Boolean)
    .map(Number);

const isAlive = (pid: number): boolean => {
  try {
    return !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

describe('the runtime options of a program', () => {
  it('become arguments of node and variables', () => {
    expect(nodeOptions()).to.deep.equal({ nodeArguments: [], env: { PULUMI_NODEJS_TYPESCRIPT: 'true' } });
    const nodeargs = `--require ts-node/register  --title="a b" '--c d'`;
    expect(nodeOptions({ typescript: false, nodeargs, tsconfig: 'x.json' })).to.deep.equal({
      nodeArguments: ['--require', 'ts-node/register', '--title=a b', '--c d'],
      env: { PULUMI_NODEJS_TSCONFIG_PATH: 'x.json' },
    });
  });

  it('are refused in one line when one has the wrong type', () => {
    expect(() => nodeOptions({ typescript: 'no' })).to.throw(
      /^runtime option "typescript" is "no"; allowed: true or false; mend it in/,
    );
    expect(() => nodeOptions({ nodeargs: 3 })).to.throw(/^runtime option "nodeargs" is 3; allowed: /);
  });
});
