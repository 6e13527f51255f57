import { expect } from 'chai';
import { wayBehind } from '../../../adapters/backup/recovery/scene';
import { failoverSchema, type Switch } from '../../../config/failover';
import { productionServers } from '../../../config/servers';
import { validateSwitch } from '../../../config/switch';
import { planOf } from '../../stacks/engine';

/** What `pulumi config set-all --path` makes of the line that is printed. */
function typed(config: Switch, line: string): Switch {
  const values = [...line.matchAll(/--plaintext 'standby:([^=']+)=([^']*)'/g)].map(([, key = '', value = '']) => ({
    key,
    value: /^\d+$/.test(value) ? Number(value) : value,
  }));
  const entry = values.flatMap(({ key, value }) => {
    const [, index, name] = /^recoveries\[(\d+)\]\.(\w+)$/.exec(key) ?? [];
    if (index !== undefined) expect(Number(index)).to.equal(config.recoveries.length);
    return name === undefined ? [] : [[name, value] as const];
  });
  const epoch = values.find(({ key }) => key === 'epoch')?.value;
  return failoverSchema.parse({ ...config, epoch, recoveries: [...config.recoveries, Object.fromEntries(entry)] });
}

describe('adapters/backup: the way behind data that somebody destroyed', () => {
  const home: Switch = failoverSchema.parse(planOf('failover'));
  const at = Date.parse('2026-01-31T22:00:00Z');
  const away: Switch = {
    ...{ ...home, activeSite: 'intg', database: 'restored', identity: 'restored', epoch: 2 },
    recoveries: [{ epoch: 2, site: 'intg', method: 'geoRestore', from: 'psql-moodtalk-prod' }],
  };

  for (const [where, config, server] of [
    ['PROD', home, 'psql-moodtalk-prod-e2'],
    ['INTG', away, 'psql-moodtalk-intg-e3'],
  ] as const) {
    it(`is a switch that ${where} may throw, to a server of its own`, () => {
      const inUse = productionServers(config).find(({ database }) => database)!;
      const [says = '', set = '', up] = wayBehind(config, inUse, at);
      expect(says).to.include(server).and.include(`${inUse.name} is closed and kept`);
      expect(up).to.equal('pulumi up --stack failover');
      const after = typed(config, set);
      expect(validateSwitch(after)).to.deep.equal([]);
      const worked = productionServers(after).find(({ database }) => database);
      expect(worked).to.deep.include({ name: server, site: inUse.site, identity: true });
      expect(worked?.recovery).to.deep.include({
        method: 'pointInTimeRestore',
        pointInTime: '2026-01-31T22:00:00.000Z',
      });
    });
  }
});
