import { expect } from 'chai';
import { instantOf, isManifest, manifestName, newId, partName, placeOf, verdictName } from '../../backup/names';

describe('names of what is kept', () => {
  const at = Date.parse('2026-11-20T16:34:06.789Z');
  const id = newId(at, '3fa29c');

  it('say when a backup was begun', () => {
    expect(id).to.equal('20261120T163406Z-3fa29c');
    expect(instantOf(id)).to.equal(Date.parse('2026-11-20T16:34:06Z'));
    expect(instantOf('20261120')).to.equal(undefined);
  });

  it('are read back as they were made', () => {
    const manifest = placeOf('acme', manifestName('acme', 'database/shop', id))!;
    expect(manifest).to.deep.equal({ dataSet: 'database/shop', id, part: 'manifest.json' });
    expect(isManifest(manifest)).to.equal(true);
    const part = placeOf('acme', partName('acme', 'source', id, 'platform/pack.bundle'))!;
    expect(part).to.deep.equal({ dataSet: 'source', id, part: 'platform/pack.bundle' });
    expect(isManifest(part)).to.equal(false);
  });

  it('are nobody else’s', () => {
    const strange = [
      `acmes/state/${id}/a`,
      `acme/else/${id}/a`,
      `acme/state/${id}`,
      `acme/state/today/a`,
      `acme/${id}/a`,
    ];
    for (const name of [...strange, verdictName('acme', 'state', id, at)])
      expect(placeOf('acme', name), name).to.equal(undefined);
  });
});
