import { expect } from 'chai';
import { digestOf, findImage, images, referenceTo } from '../../sandbox/application/registry';

describe('the registry of images', () => {
  const [first] = images();
  const reference = referenceTo('ghcr.io/moodtalk/platform', '1.4.1');

  it('has for each entry the digest that the rule gives, and each digest once', () => {
    for (const image of images()) expect(digestOf(image), image.version).to.equal(image.digest);
    expect(new Set(images().map((image) => image.digest)).size).to.equal(images().length);
    expect(images().map((image) => image.version)).to.include.members(['1.4.1', '1.4.2']);
  });

  it('goes by name and digest, whatever the tag says', () => {
    expect(findImage(reference)).to.deep.equal(first);
    expect(findImage(reference.replace(':1.4.1', ''))).to.deep.equal(first);
    expect(findImage(reference.replace(':1.4.1', ':9.9.9'))).to.deep.equal(first);
    expect(findImage('ghcr.io/moodtalk/platform:1.4.1')).to.equal(undefined);
    expect(findImage(reference.replace('moodtalk', 'other'))).to.equal(undefined);
    expect(findImage(reference.slice(0, -1))).to.equal(undefined);
  });

  it('says what it has when it is asked for another version', () => {
    expect(() => referenceTo('ghcr.io/moodtalk/platform', '2.0.0')).to.throw(/2\.0\.0 is not in .*1\.4\.1.*1\.4\.2/);
  });
});
