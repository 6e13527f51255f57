import { expect } from 'chai';
import { backupSchema } from '../../config/backup';
import { planOf } from '../stacks/engine';

describe('the vault of backups', () => {
  it('is in no region that goes with PROD, where the configuration says nothing else', () => {
    const recipients = ['q', 'p'].map((letter) => `age1${letter.repeat(58)}`);
    const { vaults } = backupSchema.parse({ recoveryPointMinutes: 60, recipients, databases: [{ name: 'shop' }] });
    const keeper = planOf(vaults.site) as { backup: { region: string } };
    expect(keeper.backup.region).to.not.equal((planOf('prod') as { region: string }).region);
  });
});
