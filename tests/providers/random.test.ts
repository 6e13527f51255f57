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
    expect((await project.up(program('a'))).changes).to.deep.equal({ create: 6 });
    const first = await project.outputs();
    const password = String(first['password']);
    expect(password).to.match(/^[a-zA-Z0-9_-]{24}$/);
    expect(password.match(/[-_]/g)).to.have.length.of.at.least(3);
    expect(first['id']).to.match(/^a-[0-9a-f]{8}$/);
    expect(first['integer']).to.be.within(3, 5);
    expect(first['text']).to.match(/^[a-z0-9]{9}$/);
    expect(await project.state()).to.not.include(password);

    expect((await project.up(program('a'))).changes).to.deep.equal({ same: 6 });
    expect(await project.outputs()).to.deep.equal(first);

    expect((await project.up(program('b'))).changes).to.deep.equal({ same: 5, replace: 1 });
    const later = await project.outputs();
    expect(later['password']).to.not.equal(password);
    expect({ ...later, password }).to.deep.equal(first);
    expect((await project.destroy()).changes).to.deep.equal({ delete: 6 });
  });

  it('refuses inputs that can not work', async () => {
    const wrong = `new (require('@pulumi/random').RandomPassword)('p', { length: 2, minUpper: 3 });`;
    expect(await project.refusal(wrong)).to.include('less than the sum of the minimums, 3');
  });
});
