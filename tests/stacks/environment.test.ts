import { expect } from 'chai';
import * as pulumi from '@pulumi/pulumi';
import { parseSecrets, parseSite } from '../../config/outputs';
import { planOf, run, type Run } from './engine';

describe('the stacks of the sites', function () {
  this.timeout(60_000);
  let prod: Run;
  let intg: Run;

  before(async () => {
    prod = await run('prod', planOf('prod'));
    intg = await run('intg', planOf('intg'));
  });
  const data = /:(Server|Database|StorageAccount|BlobContainer|Workspace|PrivateZone|ResourceGroup|PublicIPAddress)$/;

  it('are the same program: the same resources, each with the site’s own name', () => {
    const kinds = (done: Run) => done.resources.map(({ type, name }) => `${type} ${name}`).sort();
    expect(kinds(intg)).to.deep.equal(kinds(prod));
    expect(JSON.stringify(prod.resources)).not.to.match(/moodtalk-intg|moodtalkintg/);
  });

  it('ask nobody anything, so that a preview works while the site is gone', () => {
    // The state of the failover stack is outside both sites.
    expect(new Set([...prod.calls, ...intg.calls])).to.deep.equal(new Set(['pulumi:pulumi:readStackOutputs']));
    expect(prod.resources.filter(({ type }) => type.startsWith('kubernetes:'))).to.deep.equal([]);
  });

  it('have the names that a runbook says', () => {
    const named = (name: string) => prod.resources.some(({ inputs }) => Object.values(inputs).includes(name));
    for (const name of [
      ...['psql-moodtalk-prod', 'rg-moodtalk-prod', 'rg-moodtalk-prod-global', 'rg-moodtalk-prod-backup'],
      ...['aks-moodtalk-prod', 'ca-moodtalk-prod-idp', 'stmoodtalkprodbackup', 'log-moodtalk-prod'],
    ])
      expect(named(name), name).to.equal(true);
  });

  it('protect what holds data, and the groups that it is in', () => {
    const open = prod.resources.filter(({ type, protect }) => data.test(type) && !protect);
    expect(open.map(({ name }) => name)).to.deep.equal([]);
  });

  it('keep what must outlive the site out of its region', () => {
    const location = (name: string) => prod.resources.find((one) => one.name === name)?.inputs['location'];
    expect(location('group')).to.equal('westeurope');
    expect(location('group-global')).to.equal('swedencentral');
    expect(location('group-backup')).to.equal('northeurope');
    expect(location('backup-account')).to.equal('northeurope');
  });

  it('tell the failover stack what it needs, secrets apart', () => {
    const site = parseSite('prod', prod.outputs['site']);
    expect(site.database).to.include({ server: 'psql-moodtalk-prod', port: 5432, database: 'moodtalk' });
    expect(site.identity.fqdn).to.equal('ca-moodtalk-prod-idp.sea-10.azurecontainerapps.io');
    expect(JSON.stringify(site)).not.to.contain('result-of-');
    expect(parseSecrets('prod', prod.outputs['secrets']).databasePassword).to.equal('result-of-database-password');
  });

  it('say who has the business when that is not them, and do nothing else about it', async () => {
    const failover = (outputs: object) => run('prod', planOf('prod'), { failover: outputs });
    expect(prod.warnings, 'before there is a failover stack').to.deep.equal([]);
    expect((await failover({ activeSite: 'prod', epoch: 1 })).warnings).to.deep.equal([]);
    const away = await failover({ activeSite: 'intg', epoch: 5 });
    expect(away.warnings).to.have.length(1);
    expect(away.warnings[0]).to.match(/^prod is fenced: since epoch 5 the business runs on intg, .*`standby failback`/);
    const made = (of: Run) => of.resources.map(({ name, inputs }) => [name, inputs]);
    expect(made(away)).to.deep.equal(made(prod));
  });

  it('can have the other engine, with nothing else changed', async () => {
    const plan = planOf('prod');
    const other = { ...(plan['database'] as object), engine: 'sqlserver', sku: 'GP_Gen5_4' };
    const done = await run('prod', { ...plan, database: other });
    const rest = (of: Run) => of.resources.filter(({ name }) => !name.startsWith('database')).map(({ name }) => name);
    expect(rest(done).sort()).to.deep.equal(rest(prod).sort());
    expect(done.resources.some(({ type }) => type === 'azure-native:sql:Server')).to.equal(true);
  });
});

describe('a run that can’t begin', function () {
  this.timeout(60_000);
  const refused = async (stack: string, config: Record<string, unknown>, references = {}) => {
    try {
      await run(stack, config, references);
    } catch (cause) {
      expect(cause, 'shown without a stack trace').to.be.instanceOf(pulumi.RunError);
      return (cause as Error).message;
    }
    throw new Error('it began');
  };

  it('names the stacks there are', async () => {
    expect(await refused('staging', {})).to.match(
      /^stack "staging" is not one of this project's: prod, intg, failover/,
    );
  });

  it('shows every issue of a configuration', async () => {
    const message = await refused('prod', { ...planOf('prod'), region: 'uksouth', colour: 'red' });
    expect(message).to.match(/standby:region is "uksouth".*\n.*standby:colour is "red"/);
  });

  it('says which stack to update first', async () => {
    expect(await refused('failover', planOf('failover'))).to.match(/stack (prod|intg) has no output "site"/);
  });

  it('refuses sites that don’t fit the switch, before anything is made', async () => {
    const [prod, intg] = [await run('prod', planOf('prod')), await run('intg', planOf('intg'))];
    const references = { prod: prod.outputs, intg: intg.outputs };
    const hosts = { ...(planOf('failover')['hosts'] as object), api: 'backend.moodtalk.ch' };
    expect(await refused('failover', { ...planOf('failover'), hosts }, references)).to.match(
      /standby:hosts\.api is "backend\.moodtalk\.ch" here and "api\.moodtalk\.ch" in stack prod/,
    );
    const moved = {
      ...references,
      intg: { ...intg.outputs, site: { ...(intg.outputs['site'] as object), region: 'westeurope' } },
    };
    expect(await refused('failover', planOf('failover'), moved)).to.match(/both sites are in westeurope/);
  });
});
