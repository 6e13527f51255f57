import { expect } from 'chai';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { repository } from '../../sandbox/world';
import { command, folder, removeFolders, tool } from './support';

const lockFile = { packages: { '': {}, 'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' } } };
const standIn = `
echo "$*" >> calls
case "$1" in
  ping) exit 0 ;;
  ci) sleep 0.2; mkdir -p node_modules/ts-node/register; touch node_modules/ts-node/register/transpile-only.js
      cp package-lock.json node_modules/.package-lock.json ;;
esac`;

/** A clone with nothing installed, and an npm that notes its calls. */
function clone(npm = standIn): { where: string; run: () => ReturnType<typeof command>['end']; installs: () => number } {
  const where = folder();
  fs.cpSync(path.join(repository, 'bin'), path.join(where, 'bin'), { recursive: true });
  fs.writeFileSync(path.join(where, 'package-lock.json'), JSON.stringify(lockFile));
  const tools = folder();
  tool(tools, 'npm', npm);
  const code = `require('./bin/dependencies').prepare().then(() => console.log('ready'))`;
  const run = () => command(process.execPath, ['-e', code], { PATH: `${tools}:${process.env['PATH']}` }, where).end;
  const installs = () => fs.readFileSync(path.join(where, 'calls'), 'utf8').match(/^ci/gm)?.length ?? 0;
  return { where, run, installs };
}

describe('the npm dependencies of a fresh clone', function () {
  this.timeout(60_000);
  after(removeFolders);

  it('are installed once, by one of two that start at once', async () => {
    const { run, installs } = clone();
    const both = await Promise.all([run(), run()]);
    expect(both.map(({ output }) => output.split('\n').at(-2))).to.deep.equal(['ready', 'ready']);
    expect((await run()).output).to.equal('ready\n');
    expect(installs()).to.equal(1);
  });

  it('are installed again when the lock file changed, or an installation was killed', async () => {
    const { where, run, installs } = clone();
    await run();
    const changed = {
      packages: { ...lockFile.packages, 'node_modules/a': { version: '1.0.1', integrity: 'sha512-b' } },
    };
    fs.writeFileSync(path.join(where, 'package-lock.json'), JSON.stringify(changed));
    await run();
    expect(installs()).to.equal(2);
    fs.rmSync(path.join(where, 'node_modules', '.package-lock.json'));
    await run();
    expect(installs()).to.equal(3);
  });

  it('that can not be had give one line', async () => {
    const npm = `test "$1" = ping && { echo 'npm error code ETIMEDOUT' >&2; exit 1; }
      echo 'npm error code ENOTCACHED' >&2; echo 'npm error a is not in the cache' >&2; exit 1`;
    const { code, output } = await clone(npm).run();
    expect(code).to.equal(1);
    expect(output.trim().split('\n').slice(1)).to.deep.equal([
      'standby: npm dependencies: npm ci failed and the npm registry does not answer (npm config get registry): a is not in the cache; mend that and run it again',
    ]);
  });
});
