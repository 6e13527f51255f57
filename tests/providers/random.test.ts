import { expect } from 'chai';
import { random } from '../../sandbox/providers/random';
import { listen } from '../../sandbox/providers/server';
import { Project } from './engine';

const program = (keeper: string) => `
  const random = require('@pulumi/random');
  const password = new random.RandomPassword('p', { length: 24, minSpecial: 3, overrideSpecial: '-_', keepers: { k: '${keeper}' } });
  const id = new random.RandomId('i', { byteLength: 4, prefix: 'a-' });
  new random.RandomUuid('u');
  const integer = new random.RandomInteger('n', { min: 3, max: 5 });
  const text = new random.RandomString('s', { length: 9, special: false, upper: false });
  exports.password = password.result;
  exports.id = id.hex;
  exports.integer = integer.result;
  exports.text = text.result;
`;

describe('providers: random', function () {
  this.timeout(60_000);
  let project: Project;
  let server: Awaited<ReturnType<typeof listen>>;
  before(async () => {
    server = await listen(random, 0);
    project = await Project.start({ random: server.port });
  });
  after(() => {
    project.stop();
    server.close();
  });

  it('makes values once, keeps the password encrypted, and makes a new one when a keeper changes', async () => {
    expect((await project.preview(program('a'))).changes).to.deep.equal({ create: 6 });
    const first = await project.up(program('a'));
    expect(first.changes).to.deep.equal({ create: 6 });
    const password = String(first.outputs['password']);
    expect(password).to.match(/^[a-zA-Z0-9_-]{24}$/);
    expect(password.match(/[-_]/g)).to.have.length.of.at.least(3);
    expect(first.outputs['id']).to.match(/^a-[0-9a-f]{8}$/);
    expect(first.outputs['integer']).to.be.within(3, 5);
    expect(first.outputs['text']).to.match(/^[a-z0-9]{9}$/);
    expect(await project.state()).to.not.include(password);

    const second = await project.up(program('a'));
    expect(second.changes).to.deep.equal({ same: 6 });
    expect(second.outputs).to.deep.equal(first.outputs);

    const third = await project.up(program('b'));
    expect(third.changes).to.deep.equal({ same: 5, replace: 1 });
    expect(third.outputs['password']).to.not.equal(password);
    expect((await project.refresh()).changes).to.deep.equal({ same: 6 });
    expect(await project.state()).to.not.include(String(third.outputs['password']));
    expect((await project.destroy()).changes).to.deep.equal({ delete: 6 });
  });

  it('refuses inputs that can not work', async () => {
    const wrong = `new (require('@pulumi/random').RandomPassword)('p', { length: 2, minUpper: 3 });`;
    const error = await project.up(wrong).then(
      () => '',
      (cause: Error) => cause.message,
    );
    expect(error).to.include('less than the sum of the minimums, 3');
  });
});
