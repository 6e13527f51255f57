import { expect } from 'chai';
import { isAtLeast } from '../../sandbox/bootstrap/find';
import { folder, removeFolders, script, tool } from './support';

/** What a step says when PATH holds only these tools. */
async function faultOf(module: string, call: string, tools: Readonly<Record<string, string>> = {}): Promise<string> {
  const bin = folder();
  for (const [name, body] of Object.entries(tools)) tool(bin, name, body);
  const code = `
    const context = { report: () => undefined, signal: new AbortController().signal };
    require('./sandbox/bootstrap/${module}').${call}.then(() => console.log('found'), (cause) => console.log(cause.message));`;
  return (await script(code, { PATH: bin, JAVA_HOME: '', STANDBY_HOME: bin }).end).output.trim();
}

describe('a missing tool', () => {
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
