import { expect } from 'chai';
import * as fs from 'node:fs';
import { backupsDocument, markdown } from '../../cli/publishBackups';
import { dataSetNotes } from '../../config/dataSets';

describe('docs/backups.md', () => {
  it('is what the configuration makes of it: run `npm run docs:backups`', () => {
    expect(fs.readFileSync(backupsDocument, 'utf8')).to.equal(markdown());
  });

  it('says of every data set how to get it back, and of every plan what it asks for', () => {
    const text = markdown();
    for (const { name } of dataSetNotes) expect(text).to.match(new RegExp(`^\\| \`${name}\` \\|.*\`standby `, 'm'));
    for (const plan of ['CAREFUL', 'DomaCare', 'Moodtalk', 'Neosofia'])
      expect(text).to.match(new RegExp(`^### ${plan}`, 'm'));
    expect(text).not.to.contain('undefined').and.not.contain('[object');
  });
});
