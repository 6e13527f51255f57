'use strict';
/** One resource group with one database server; the configuration says what is wrong with it. */
const pulumi = require('@pulumi/pulumi');

const config = new pulumi.Config();
const resource = (type, name, props, opts) =>
  new pulumi.CustomResource(type, name, { region: undefined, ...props }, opts);

const group = resource('azure-native:resources:ResourceGroup', 'rg', { location: 'westeurope' }, { protect: true });
if (config.get('server') !== 'dropped') {
  resource(
    'azure-native:dbforpostgresql:Server',
    'psql',
    {
      resourceGroupName: group.id,
      // Only the provider knows the group's region: during the first preview it is unknown.
      location: config.get('location') === 'unknown' ? group.region : (config.get('location') ?? 'westeurope'),
      administratorLogin: config.get('login') ?? 'admin',
      backup: { backupRetentionDays: config.getNumber('days') ?? 35, geoRedundantBackup: 'Enabled' },
    },
    { protect: config.get('protect') !== 'false' },
  );
}
