import { expect } from 'chai';
import { describeDifference, mendable } from '../../../backup/estate/set';
import { Parts, subscription, textOf, world } from './estateParts';
import type { Sent } from './estateOperator';

/** The same in every world. */
const zone_id = '99cc0b3d0533a4c2aa4e22fa3b300212';
const groupVersion = '2021-04-01';
const zoneVersion = '2024-06-01';
const group = (name: string) => `/subscriptions/${subscription}/resourceGroups/${name}`;
const privateZone = (site: string) =>
  `${group(`rg-moodtalk-${site}-global`)}/providers/Microsoft.Network/privateDnsZones/${site}.internal.moodtalk.ch`;
const network = `${group('rg-moodtalk-prod')}/providers/Microsoft.Network/virtualNetworks/vnet`;
const insights = `${group('rg-moodtalk-prod')}/providers/Microsoft.Insights`;
const workspace = `${group('rg-moodtalk-prod')}/providers/Microsoft.OperationalInsights/workspaces/log-moodtalk-prod`;
const sqlServer = `${group('rg-moodtalk-prod')}/providers/Microsoft.Sql/servers/sql-moodtalk-prod`;
const faultOf = (act: Promise<unknown>) =>
  act.then(
    () => 'done',
    (cause: Error) => cause.message,
  );

describe('adapters/backup/estate: names and monitoring, back into empty vendors', function () {
  this.timeout(120_000);
  let parts: Parts;
  let names: Sent;
  let monitoring: Sent;

  const record = (body: Record<string, unknown>) =>
    parts.cloudflare.client().dns.records.create({ zone_id, ttl: 1, ...body } as never);
  const records = async () => {
    const found: [string, string, string | undefined, boolean | undefined][] = [];
    for await (const { name, type, content, proxied } of parts.cloudflare.client().dns.records.list({ zone_id }))
      found.push([name, type, content, proxied]);
    return found.sort();
  };
  const rules = async () =>
    (
      await parts.cloudflare
        .client()
        .rulesets.phases.get('http_request_firewall_custom', { zone_id })
        .catch(() => ({ rules: [] }))
    ).rules.map(({ action, expression, enabled }) => [action, expression, enabled]);

  /** What the stacks make before there is anything to restore into. */
  async function makeNetwork(): Promise<void> {
    await parts.put(group('rg-moodtalk-prod'), groupVersion, { location: 'westeurope' });
    const properties = { addressSpace: { addressPrefixes: ['10.1.0.0/16'] } };
    await parts.put(network, '2024-05-01', { location: 'westeurope', properties });
  }

  async function makeNames(): Promise<void> {
    for (const name of ['admin', 'api', 'id', 'idp', 'static', 'survey'])
      await record({ type: 'A', name, content: '127.0.10.140', proxied: true });
    await record({ type: 'MX', name: 'moodtalk.ch', content: 'mx.example.org', priority: 10, ttl: 300 });
    await record({ type: 'TXT', name: 'moodtalk.ch', content: 'v=spf1 include:example.org -all' });
    await record({ type: 'TXT', name: 'moodtalk.ch', content: 'verification=1' });
    await record({ type: 'CNAME', name: 'www', content: 'static.moodtalk.ch', proxied: true, comment: 'marketing' });
    const data = { priority: 1, weight: 2, port: 443, target: 'chat.example.org' };
    await record({ type: 'SRV', name: '_chat._tcp.moodtalk.ch', data });
    await record({ type: 'CAA', name: 'moodtalk.ch', data: { flags: 0, tag: 'issue', value: 'letsencrypt.org' } });
    await parts.cloudflare.client().rulesets.phases.update('http_request_firewall_custom', {
      zone_id,
      rules: [
        { action: 'block', expression: '(ip.src eq 192.0.2.1)', description: 'known' },
        {
          action: 'managed_challenge',
          expression: '(http.request.uri.path eq "/login")',
          ref: 'login',
          enabled: false,
        },
      ],
    } as never);
    const location = 'global';
    for (const site of ['prod', 'intg']) {
      await parts.put(group(`rg-moodtalk-${site}-global`), groupVersion, { location: 'swedencentral' });
      await parts.put(privateZone(site), zoneVersion, { location });
      await parts.put(`${privateZone(site)}/A/api`, zoneVersion, {
        properties: { ttl: 10, aRecords: [{ ipv4Address: '127.0.10.140' }] },
      });
      await parts.put(`${privateZone(site)}/A/printer`, zoneVersion, {
        properties: { ttl: 3600, aRecords: [{ ipv4Address: '10.1.0.9' }], metadata: { floor: '2' } },
      });
    }
    await parts.put(`${privateZone('prod')}/virtualNetworkLinks/moodtalk-prod`, zoneVersion, {
      location,
      properties: { virtualNetwork: { id: network }, registrationEnabled: false },
    });
  }

  async function makeDatabase(): Promise<void> {
    await parts.put(sqlServer, '2023-08-01', {
      location: 'westeurope',
      properties: { administratorLogin: 'standby', administratorLoginPassword: 'Correct-Horse-7', version: '12.0' },
    });
    await parts.put(`${sqlServer}/databases/careful`, '2023-08-01', { location: 'westeurope' });
  }

  async function makeMonitoring(): Promise<void> {
    await parts.put(workspace, '2023-09-01', { location: 'westeurope', properties: { retentionInDays: 92 } });
    await parts.put(`${insights}/actionGroups/ag-moodtalk-prod`, '2024-10-01-preview', {
      location: 'global',
      properties: {
        groupShortName: 'standby',
        enabled: true,
        emailReceivers: [{ name: 'security', emailAddress: 'security@moodtalk.ch', useCommonAlertSchema: true }],
      },
    });
    await parts.put(`${insights}/metricAlerts/memory`, '2018-03-01', {
      location: 'global',
      properties: {
        ...{ severity: 2, enabled: true, scopes: [`${sqlServer}/databases/careful`], evaluationFrequency: 'PT1M' },
        ...{ windowSize: 'PT5M', autoMitigate: true },
        criteria: {
          'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria',
          allOf: [
            {
              ...{ criterionType: 'StaticThresholdCriterion', name: 'memory', metricName: 'memory_percent' },
              ...{ timeAggregation: 'Average', operator: 'GreaterThan', threshold: 90 },
            },
          ],
        },
        actions: [{ actionGroupId: `${insights}/actionGroups/ag-moodtalk-prod` }],
      },
    });
    await parts.put(
      `${sqlServer}/databases/careful/providers/Microsoft.Insights/diagnosticSettings/standby`,
      '2021-05-01-preview',
      { properties: { workspaceId: workspace, logs: [{ categoryGroup: 'allLogs', enabled: true }] } },
    );
  }

  before(async () => {
    parts = await new Parts(236).start();
    await makeNetwork();
    await makeNames();
    await makeDatabase();
    await makeMonitoring();
  });
  after(() => parts.remove());

  let recordsBefore: Awaited<ReturnType<typeof records>>;
  let rulesBefore: Awaited<ReturnType<typeof rules>>;

  it('takes the zone as BIND and JSON, its rules one by one, and the private zones', async () => {
    recordsBefore = await records();
    rulesBefore = await rules();
    names = await parts.collect('names');
    expect(names.map(({ name }) => name)).to.deep.equal([
      'cloudflare/moodtalk.ch.zone',
      'cloudflare/moodtalk.ch.records.json',
      'cloudflare/moodtalk.ch.rulesets.json',
      'azure/prod.zone.json',
      'azure/intg.zone.json',
    ]);
    expect(textOf(names, 'cloudflare/moodtalk.ch.zone')).to.match(
      /^moodtalk\.ch\.\t300\tIN\tMX\t10 mx\.example\.org\./m,
    );
    expect(JSON.parse(textOf(names, 'cloudflare/moodtalk.ch.records.json'))).to.have.length(12);
    expect(textOf(names, 'cloudflare/moodtalk.ch.rulesets.json'))
      .to.contain('192.0.2.1')
      .and.not.contain('last_updated');
    expect(textOf(names, 'azure/prod.zone.json')).to.contain('10.1.0.9').and.not.contain('SOA');
    expect(await parts.compare('names', names)).to.deep.equal([]);
  });

  it('takes workspaces, people, alerts and diagnostic settings', async () => {
    monitoring = await parts.collect('monitoring');
    const text = textOf(monitoring, 'prod.json');
    for (const part of ['memory_percent', 'security@moodtalk.ch', 'allLogs', '"retentionInDays": 92'])
      expect(text).to.contain(part);
    expect(text).not.to.match(/customerId|provisioningState|etag/);
    expect(await parts.compare('monitoring', monitoring)).to.deep.equal([]);
  });

  it('changes back what was changed, and only that; a failover’s own records stay where they lead', async () => {
    const client = parts.cloudflare.client();
    const all: { id: string; name: string; type: string }[] = [];
    for await (const one of client.dns.records.list({ zone_id })) all.push(one);
    const idOf = (name: string, type: string) => all.find((one) => one.name === name && one.type === type)!.id;
    await client.dns.records.edit(idOf('api.moodtalk.ch', 'A'), { zone_id, content: '127.0.20.140' } as never);
    await client.dns.records.edit(idOf('www.moodtalk.ch', 'CNAME'), { zone_id, content: 'thief.example' } as never);
    await client.dns.records.delete(idOf('moodtalk.ch', 'MX'), { zone_id });
    await record({ type: 'TXT', name: 'moodtalk.ch', content: 'verification=stolen' });
    await record({ type: 'A', name: 'new', content: '127.0.10.7' });
    await parts.put(`${privateZone('intg')}/A/api`, zoneVersion, {
      properties: { ttl: 10, aRecords: [{ ipv4Address: '127.0.20.140' }] },
    });
    const differences = await parts.compare('names', names);
    expect(differences.map(describeDifference)).to.have.members([
      'missing   record MX moodtalk.ch: mx.example.org',
      'different record CNAME www.moodtalk.ch: thief.example, proxied → static.moodtalk.ch, proxied',
      'different record TXT moodtalk.ch: verification=stolen was not there',
      'moves     record A api.moodtalk.ch: it was 127.0.10.140, proxied',
      'extra     record A new.moodtalk.ch: 127.0.10.7',
      'moves     Microsoft.Network/privateDnsZones/intg.internal.moodtalk.ch/A/api',
    ]);
    const changed = recordsBefore.map((one) => (one[0] === 'api.moodtalk.ch' ? one.with(2, '127.0.20.140') : one));
    expect(await parts.restore('names', names)).to.deep.equal(['3 records of moodtalk.ch changed']);
    const wanted = [...changed, ['new.moodtalk.ch', 'A', '127.0.10.7', false]].sort();
    expect(await records()).to.deep.equal(wanted);
    expect(mendable(await parts.compare('names', names))).to.deep.equal([]);
    expect(await parts.restore('names', names), 'a second time').to.deep.equal([]);
  });

  it('refuses to be half a backup: nothing is taken while Cloudflare hides the rules', async () => {
    const token = await parts.cloudflare.client().user.tokens.create({
      name: 'dns only',
      policies: [
        {
          effect: 'allow',
          permission_groups: [{ id: '82e64a83756745bbbb1c9c2701bf816b' }, { id: 'c8fed203ed3043cba015a93ad1616f1f' }],
          resources: { [`com.cloudflare.api.account.zone.${zone_id}`]: '*' },
        },
      ],
    } as never);
    await parts.operator({ CLOUDFLARE_API_TOKEN: String(token.value) });
    expect(await faultOf(parts.collect('names'))).to.match(/^CloudflareRefused: .*rulesets with 403/);
    await parts.operator();
  });

  it('brings everything back into vendors that know nothing', async () => {
    await parts.remove();
    parts = await new Parts(236).start();
    await makeNetwork();
    const missing = await parts.compare('names', names);
    expect(new Set(missing.map(({ how }) => how))).to.deep.equal(new Set(['missing']));
    expect(missing.length).to.equal(12 + 1 + 2 * 4 + 1);
    expect(await records(), 'a comparison changes nothing').to.deep.equal([]);

    const at = { ...world, configuration: { ...world.configuration, activeSite: 'intg' as const } };
    expect(await parts.restore('names', names, at)).to.have.length(4);
    // What a failover moved meanwhile leads to the site that has the business now.
    const moved = recordsBefore.map((one) => (one[1] === 'A' ? one.with(2, '127.0.20.140') : one));
    expect(await records()).to.deep.equal(moved);
    expect(await rules()).to.deep.equal(rulesBefore);
    const printer = await parts.get(`${privateZone('intg')}/A/printer`, zoneVersion);
    expect(printer.properties).to.deep.include({ ttl: 3600, metadata: { floor: '2' } });
    const link = await parts.get(`${privateZone('prod')}/virtualNetworkLinks/moodtalk-prod`, zoneVersion);
    expect(link.properties['virtualNetwork']).to.deep.equal({ id: network });
    expect(await parts.restore('names', names, at), 'a second time').to.deep.equal([]);

    await makeDatabase();
    expect(mendable(await parts.compare('monitoring', monitoring))).to.have.length(4);
    expect(await parts.restore('monitoring', monitoring)).to.deep.equal(["4 resources of prod's monitoring put"]);
    const alert = await parts.get(`${insights}/metricAlerts/memory`, '2018-03-01');
    expect(alert.properties).to.deep.include({ severity: 2, evaluationFrequency: 'PT1M' });
    expect(await parts.compare('monitoring', monitoring)).to.deep.equal([]);
  });
});
