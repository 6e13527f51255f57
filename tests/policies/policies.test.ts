import { expect } from 'chai';
import * as path from 'node:path';
import { rules } from '../../policies/rules';
import { readProfile } from '../../policies/settings';
import { checkState } from '../../policies/state';
import { copiesCases } from './copies-cases';
import { dataCases } from './data-cases';
import { platformCases } from './platform-cases';
import { exported, findings } from './state';

const cases = [...dataCases, ...copiesCases, ...platformCases];

describe('policies', () => {
  for (const { policy, passes, violations } of cases) {
    describe(policy, () => {
      for (const [title, { settings = {}, given }] of Object.entries(passes)) {
        it(`passes: ${title}`, () => expect(findings(policy, settings, given)).to.deep.equal([]));
      }
      for (const [title, { settings = {}, given, says }] of Object.entries(violations)) {
        it(`refuses: ${title}`, () => {
          const [first] = findings(policy, settings, given);
          expect(first, 'a finding').to.not.equal(undefined);
          for (const part of says) expect(first?.message).to.include(part);
          expect(first?.message).to.match(/ is .+; allowed is .+\. Serves .*(ISO|GDPR|NIST)/);
        });
      }
    });
  }

  it('each have a passing and a violating case', () => {
    const tried = cases.filter(
      ({ passes, violations }) => Object.keys(passes).length && Object.keys(violations).length,
    );
    expect(tried.map(({ policy }) => policy)).to.have.members(rules.map(({ name }) => name));
  });

  it('are mandatory, but for the reminder after a promotion', () => {
    expect(rules.filter(({ level }) => level === 'advisory').map(({ name }) => name)).to.deep.equal(['reprotect']);
  });

  it("name the plan's clause when a profile is used", () => {
    const given = [
      { type: 'azure-native:operationalinsights:Workspace', name: 'logs', inputs: { retentionInDays: 90 } },
    ];
    const settings = readProfile('neosofia', path.join(__dirname, '../../policies/profiles'));
    const { findings: found } = checkState(exported('prod', given), settings);
    expect(found.find(({ policy }) => policy === 'log-retention')?.message).to.include('three months of log data');
  });
});
