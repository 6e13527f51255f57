/** A drill's copy must go, so its stack is freed from the protection of data; nothing else is. */
import { expect } from 'chai';
import { findings, type Given } from './state';

const tags = { 'standby-purpose': 'drill', 'standby-expires': '2026-01-31T22:00:00.000Z' };
const server = (own: object = tags): Given => ({
  type: 'azure-native:dbforpostgresql:Server',
  name: 'psql',
  inputs: { backup: { geoRedundantBackup: 'Disabled', backupRetentionDays: 7 }, tags: own },
  from: { resourceGroupName: ['rg'] },
});
const group: Given = { type: 'azure-native:resources:ResourceGroup', name: 'rg', inputs: { tags } };
const freed = ['protect-data', 'protect-data-groups', 'second-region'] as const;
const given = (policy: string, own?: object) =>
  policy === 'protect-data-groups' ? [{ ...group, inputs: { tags: own ?? tags } }, server(own)] : [server(own)];

describe('policies of a drill', () => {
  for (const policy of freed) {
    it(`${policy} passes the copy of a drill`, () =>
      expect(findings(policy, {}, given(policy), 'drill')).to.deep.equal([]));

    it(`${policy} refuses it in another stack, whatever its tags say`, () => {
      for (const stack of ['prod', 'intg', 'failover'])
        expect(findings(policy, {}, given(policy), stack), stack).to.have.length(1);
    });

    it(`${policy} refuses it without a purpose, or without an end`, () => {
      const wrong = [
        {},
        { ...tags, 'standby-purpose': 'test' },
        { 'standby-purpose': 'drill' },
        { ...tags, 'standby-expires': 'never' },
      ];
      for (const own of wrong)
        expect(findings(policy, {}, given(policy, own), 'drill'), JSON.stringify(own)).to.have.length(1);
    });
  }

  it('everything else is asked of a drill as of any other', () =>
    expect(findings('backup-retention', { minimumDays: 35 }, [server()], 'drill')).to.have.length(1));
});
