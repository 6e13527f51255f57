import { expect } from 'chai';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { folder, killAll, removeFolders, script } from './support';

const make = (digest: string, work: string) => `
  const { cached } = require('./sandbox/bootstrap/cache');
  const fs = require('node:fs');
  cached('thing', '${digest}', async (folder) => { ${work} })
    .then(({ folder, made }) => console.log(made ? 'made' : 'there', fs.readFileSync(folder + '/content', 'utf8')));`;
const one = '1'.repeat(16);
const two = '2'.repeat(16);
const write = (content: string) => `fs.writeFileSync(folder + '/content', '${content}');`;

describe('what the bootstrap makes', function () {
  this.timeout(60_000);
  after(removeFolders);
  const cacheOf = (home: string) => fs.readdirSync(path.join(home, 'cache')).sort();

  it('is not there when its maker is killed half-way, and is made whole by the next one', async () => {
    const env = { STANDBY_HOME: folder() };
    const killed = script(
      make(one, `${write('half')} console.log('half-way'); setInterval(() => {}, 1000); await new Promise(() => {});`),
      env,
    );
    await killed.says('half-way');
    killed.child.kill('SIGKILL');
    await killed.end;
    expect(cacheOf(env.STANDBY_HOME)).to.deep.equal(['thing.unfinished']);
    expect((await script(make(one, write('whole')), env).end).output).to.equal('made whole\n');
    expect(cacheOf(env.STANDBY_HOME)).to.deep.equal([`thing-${one}`]);
  });

  it('is made once, made again when what it is made from changes, and the older one goes', async () => {
    const env = { STANDBY_HOME: folder() };
    const outputs: string[] = [];
    for (const [digest, content] of [
      [one, 'first'],
      [one, 'second'],
      [two, 'third'],
    ] as const) {
      outputs.push((await script(make(digest, write(content)), env).end).output);
    }
    expect(outputs).to.deep.equal(['made first\n', 'there first\n', 'made third\n']);
    expect(cacheOf(env.STANDBY_HOME)).to.deep.equal([`thing-${two}`]);
  });

  it('is not there when making it fails', async () => {
    const env = { STANDBY_HOME: folder() };
    const { code } = await script(make(one, `${write('half')} throw new Error('no');`), env).end;
    expect([code, cacheOf(env.STANDBY_HOME)]).to.deep.equal([1, []]);
  });

  it('is found by name also when the world is gone that made it in a cache which others share', async () => {
    const [ours, theirs] = [folder(), folder()];
    fs.mkdirSync(path.join(ours, 'cache'));
    fs.symlinkSync(path.join(ours, 'cache'), path.join(theirs, 'cache'));
    const placing = `
      const { cached, place } = require('./sandbox/bootstrap/cache');
      const { folders } = require('./sandbox/world');
      cached('thing', '${one}', async (folder) => require('node:fs').writeFileSync(folder + '/content', 'whole'))
        .then(({ folder }) => place(folder + '/content', folders.bin + '/thing'));`;
    expect((await script(placing, { STANDBY_HOME: theirs }).end).code).to.equal(0);
    fs.rmSync(theirs, { recursive: true });
    expect(fs.readFileSync(path.join(ours, 'cache', 'bin', 'thing'), 'utf8')).to.equal('whole');
  });
});

describe('the lock of the bootstrap', function () {
  this.timeout(60_000);
  after(killAll);
  const hold = `require('./bin/lock').lock('standby-test-lock', (pid) => console.log('waits for', pid))
    .then(() => { console.log('held'); setInterval(() => {}, 1000); });`;

  it('lets one in, tells the other whom it waits for, and is free when its holder is killed', async () => {
    const first = script(hold);
    await first.says('held');
    const second = script(hold);
    await second.says(`waits for ${first.child.pid}`);
    first.child.kill('SIGKILL');
    await second.says('held');
    second.child.kill('SIGKILL');
    await second.end;
  });
});
