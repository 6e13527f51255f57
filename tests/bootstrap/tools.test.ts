import { expect } from 'chai';
import { isAtLeast } from '../../sandbox/bootstrap/find';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { providerPorts, repository } from '../../sandbox/world';
import { command, folder, removeFolders, script, tool } from './support';

/** What a step says when PATH holds only these tools. */
async function faultOf(module: string, call: string, tools: Readonly<Record<string, string>> = {}): Promise<string> {
  const bin = folder();
  for (const [name, body] of Object.entries(tools)) tool(bin, name, body);
  const code = `
    const context = { report: () => undefined, signal: new AbortController().signal };
    require('./sandbox/bootstrap/${module}').${call}.then(() => console.log('found'), (cause) => console.log(cause.message));`;
  return (await script(code, { PATH: bin, JAVA_HOME: '', STANDBY_HOME: bin }).end).output.trim();
}

describe('a missing tool', function () {
  this.timeout(60_000); // each case is a process of its own
  after(removeFolders);

  it('gives one line: which tool, which version, how to get it', async () => {
    const lines = await Promise.all([
      faultOf('go', 'findGo(context)'),
      faultOf('java', 'prepareJava(context)'),
      faultOf('postgres', 'preparePostgres(context, [])'),
    ]);
    expect(lines[0]).to.match(
      /^Go 1\.21\.0 or newer is needed, but no "go" is on PATH; get .* from https:\/\/go\.dev\/dl\/.*$/,
    );
    expect(lines[1]).to.match(
      /^Java 17 or newer is needed, .*; apt-get install openjdk-17-jre-headless, or set JAVA_HOME$/,
    );
    expect(lines[2]).to.match(/^PostgreSQL 15 or newer is needed, .*; apt-get install postgresql$/);
  });

  it('is said of one that is too old, with its version', async () => {
    const lines = await Promise.all([
      faultOf('go', 'findGo(context)', { go: 'echo go version go1.19.8 linux/amd64' }),
      faultOf('java', 'prepareJava(context)', { java: `echo 'openjdk version "11.0.2" 2019-01-15' >&2` }),
    ]);
    expect(lines[0]).to.match(/^Go 1\.21\.0 or newer is needed, but \S+\/go is 1\.19\.8; /);
    expect(lines[1]).to.match(/^Java 17 or newer is needed, /);
  });

  it('is not said of one that is new enough', async () => {
    const lines = await Promise.all([
      faultOf('go', 'findGo(context)', { go: 'echo go version go1.26 linux/amd64' }),
      faultOf('java', 'prepareJava(context)', { java: `echo 'openjdk version "21" 2023-09-19' >&2` }),
    ]);
    expect(lines).to.deep.equal(['found', 'found']);
  });

  it('is judged by numbers, not by letters', () => {
    const cases: [string, string, boolean][] = [
      ['3.250.0', '3.230.0', true],
      ['3.99.0', '3.230.0', false],
      ['v3.230.0', '3.230.0', true],
      ['15', '15', true],
      ['15.18', '15', true],
      ['9.6', '15', false],
    ];
    for (const [version, least, expected] of cases)
      expect(isAtLeast(version, least), `${version} >= ${least}`).to.equal(expected);
  });
});

describe('the vendors’ own tools', function () {
  this.timeout(60_000);
  after(removeFolders);
  const context = `const context = { report: () => undefined, signal: new AbortController().signal };`;
  const print = `.then((value) => console.log(JSON.stringify(value)), (cause) => console.log(cause.message))`;

  it('are used when they are installed: the command line', async () => {
    const [bin, home] = [folder(), folder()];
    tool(bin, 'pulumi', 'echo v3.299.1');
    tool(bin, 'pulumi-language-nodejs', '');
    const code = `${context} require('./sandbox/bootstrap/pulumi').preparePulumi(context)${print}`;
    const { output } = await script(code, { PATH: bin, STANDBY_HOME: home }).end;
    expect(JSON.parse(output)).to.deep.equal({ path: path.join(bin, 'pulumi'), version: '3.299.1', origin: 'found' });
    for (const name of ['pulumi', 'pulumi-language-nodejs']) {
      expect(fs.realpathSync(path.join(home, 'cache', 'bin', name))).to.equal(path.join(bin, name));
    }
  });

  const choose = async (plugins: readonly string[], setting?: string) => {
    const [pulumiHome, home] = [folder(), folder()];
    fs.mkdirSync(path.join(home, 'cache', 'bin'), { recursive: true });
    for (const name of plugins) {
      const manifest = path.join(repository, 'node_modules', '@pulumi', name, 'package.json');
      const { version } = JSON.parse(fs.readFileSync(manifest, 'utf8')) as { version: string };
      const where = path.join(pulumiHome, 'plugins', `resource-${name}-v${version}`);
      fs.mkdirSync(where, { recursive: true });
      tool(where, `pulumi-resource-${name}`, '');
    }
    const env = { PULUMI_HOME: pulumiHome, STANDBY_HOME: home, ...(setting ? { STANDBY_PROVIDERS: setting } : {}) };
    const code = `${context} require('./sandbox/bootstrap/providers').chooseProviders(context, { origin: 'built' })${print}`;
    const { output } = await script(code, env).end;
    return { choice: output.trim(), linked: fs.readdirSync(path.join(home, 'cache', 'bin')).length };
  };
  const names = Object.keys(providerPorts);

  it('are used when they are installed: the provider plugins, all of them or none', async () => {
    const [all, some, told, wrong] = await Promise.all([
      choose(names),
      choose(names.slice(1)),
      choose(names, 'stand-in'),
      choose(names, 'mine'),
    ]);
    expect(all).to.deep.equal({ choice: '"official"', linked: names.length });
    expect(some).to.deep.equal({ choice: '"stand-in"', linked: 0 });
    expect(told).to.deep.equal({ choice: '"stand-in"', linked: 0 });
    expect(wrong.choice).to.equal('STANDBY_PROVIDERS is "mine"; allowed: official, stand-in; or unset it');
  });
});

describe('clean', () => {
  after(removeFolders);
  const clean = (home: string) =>
    command(process.execPath, [path.join(repository, 'bin', 'clean.js')], { STANDBY_HOME: home }).end;

  it('removes the one folder, and only when it is the sandbox’s', async () => {
    const [own, other] = [folder(), folder()];
    fs.mkdirSync(path.join(own, 'cache', 'bin'), { recursive: true });
    fs.writeFileSync(path.join(other, 'letter.txt'), '');
    expect((await clean(own)).code).to.equal(0);
    const refused = await clean(other);
    expect([refused.code, fs.existsSync(own), fs.existsSync(path.join(other, 'letter.txt'))]).to.deep.equal([
      1,
      false,
      true,
    ]);
    expect(refused.output).to.contain("holds what is not the sandbox's (letter.txt)");
  });
});
