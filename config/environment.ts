/** Configuration of a site: the stacks `prod` and `intg`. */
import { z } from 'zod';
import * as f from './fields';
import type { Check, Issue } from './issues';
import { pairOf } from './regions';

export const environmentSchema = z.strictObject({
  company: f.company,
  region: f.region('Region of the site: network, database server, identity provider, cluster, logs.'),
  globalRegion: f.region(
    'Region of what has no place of its own, such as the internal zone and the writer lease. The same at both sites.',
  ),
  zone: f.zone,
  hosts: f.hosts,
  internalZone: f.text(/^([a-z0-9-]+\.)+[a-z]{2,}$/, {
    description: 'Private zone of the site, which its reverse proxy asks. The failover stack writes its records.',
    allowed: 'a domain name in lower case, different at each site',
    fix: 'write a name such as prod.internal.moodtalk.ch',
  }),
  network: f.field(
    z.strictObject({
      addressSpace: f.cidr('Address range of the virtual network.'),
      clusterSubnet: f.cidr('Range of the cluster in it.'),
      identitySubnet: f.cidr('Range of the identity provider in it, /27 or larger.'),
    }),
    { description: 'Virtual network.', allowed: 'three address ranges' },
  ),
  cluster: f.field(
    z.strictObject({
      kubernetesVersion: f.text(/^1\.\d{2}(\.\d+)?$/, {
        description: 'Version of Kubernetes.',
        allowed: 'a version such as 1.35',
        fix: 'write 1.MINOR or 1.MINOR.PATCH',
      }),
      nodeSize: f.text(/^Standard_\w+$/, {
        description: 'Size of a node.',
        allowed: 'an Azure virtual machine size such as Standard_D4ds_v5',
        fix: 'write a size of the list of `az vm list-sizes`',
      }),
      nodeCount: f.whole(1, 50, 'Nodes. The standby site must hold the production release.', 3),
    }),
    { description: 'Kubernetes cluster.', allowed: 'version, node size, node count' },
  ),
  database: f.field(
    z.strictObject({
      engine: f.field(z.enum(['postgresql', 'sqlserver']).default('postgresql'), {
        description: 'Managed database. Recoveries (branch 1b) are made for `postgresql` only.',
        allowed: 'postgresql, sqlserver',
      }),
      version: f.field(
        z
          .string()
          .regex(/^1[1-8]$/)
          .default('15'),
        {
          description: 'Major version of PostgreSQL; Azure SQL has none.',
          allowed: '"11" to "18"',
        },
      ),
      sku: f.text(/^[A-Z]\w+$/, {
        description: 'Size of the server. Both sites have the same: the standby must hold the load.',
        allowed: 'a size such as Standard_D4ds_v5 (PostgreSQL) or GP_Gen5_4 (Azure SQL)',
        fix: 'write the name of a size',
      }),
      tier: f.field(z.enum(['Burstable', 'GeneralPurpose', 'MemoryOptimized']).default('GeneralPurpose'), {
        description: 'Tier of the server. Burstable takes no replicas, so the way home from branch 1b is closed to it.',
        allowed: 'Burstable, GeneralPurpose, MemoryOptimized',
      }),
      storageGb: f.whole(
        32,
        32767,
        'Storage, in gigabytes. It grows by itself and never shrinks: raise this to what Azure shows before the server is changed.',
        128,
      ),
      backupRetentionDays: f.whole(7, 35, 'Days that backups are kept.', 35),
      geoRedundantBackup: f.field(z.boolean().default(true), {
        description:
          'Backups are copied to the paired region: branch 1b restores from there. Fixed when the server is made.',
        allowed: 'true, or false where a replica protects the site',
      }),
      operatorAddresses: f.field(z.array(f.address).max(20).default([]), {
        description:
          'Addresses of operators that the firewall admits besides the site itself. Without one `standby` can neither fence nor restore.',
        allowed: 'a list of single IPv4 addresses',
      }),
    }),
    { description: 'Database server of the site.', allowed: 'the keys of database' },
  ),
  identity: f.field(
    z.strictObject({
      image: f.image(
        'Keycloak, built for PostgreSQL and with health endpoints (`kc.sh build`): it starts optimized. The stock image is not.',
      ),
      realm: f.text(/^[a-z][a-z0-9-]{1,30}$/, {
        description: 'Realm of the platform.',
        allowed: 'lower-case letters, digits and hyphens',
        fix: 'write a name such as moodtalk',
      }),
      minReplicas: f.whole(0, 1, 'Instances that run, never more than one; with 0 it starts when somebody asks it.', 1),
    }),
    { description: 'Identity provider.', allowed: 'image, realm, minReplicas' },
  ),
  backup: f.field(
    z.strictObject({
      region: f.region("Region of the backup storage, outside the site's own."),
      redundancy: f.redundancy('Copies of the backup storage', 'Standard_GRS'),
      retentionDays: f.whole(7, 3650, 'Days that nobody can change or delete what is in it.', 35),
    }),
    { description: 'Storage of offsite copies.', allowed: 'region, redundancy, retentionDays' },
  ),
  logs: f.field(z.strictObject({ retentionDays: f.whole(90, 730, 'Days that logs are kept.', 90) }), {
    description: 'Logs.',
    allowed: 'retentionDays',
  }),
  alerts: f.field(
    z.strictObject({
      infrastructure: f.email('The infrastructure team.'),
      security: f.email('The security team.'),
      memoryPercent: f.whole(50, 99, 'Memory of the database server above which both are told.', 90),
      storagePercent: f.whole(50, 99, 'Storage of the database server above which both are told.', 80),
      connections: f.whole(1, 100000, 'User load: connections to the database above which both are told.', 400),
    }),
    { description: 'Who is told of what.', allowed: 'two addresses and three limits' },
  ),
});

export type EnvironmentConfig = z.infer<typeof environmentSchema>;

/** What no single value shows. */
export const environmentChecks: readonly Check<EnvironmentConfig>[] = [
  { needs: ['zone', 'hosts'], find: ({ zone, hosts }) => f.hostsOutside(zone, hosts) },
  {
    needs: ['region', 'backup'],
    find: ({ region, backup }) => elsewhere('backup.region', region, backup.region, 'a backup must survive its site'),
  },
  {
    needs: ['region', 'globalRegion'],
    find: ({ region, globalRegion }) =>
      elsewhere('globalRegion', region, globalRegion, 'the internal zone must be changeable while the site is gone'),
  },
  { needs: ['region', 'database'], find: geoRedundancy },
];

const elsewhere = (key: string, siteRegion: string, got: string, why: string): Issue[] =>
  got === siteRegion
    ? [
        {
          key,
          got,
          allowed: `a region other than ${siteRegion}, where the site is`,
          fix: `${why}: choose another region of the EEA`,
        },
      ]
    : [];

function geoRedundancy({ region, database }: EnvironmentConfig): Issue[] {
  if (database.engine !== 'postgresql' || !database.geoRedundantBackup || pairOf(region)) return [];
  return [
    {
      key: 'database.geoRedundantBackup',
      got: true,
      allowed: `false in ${region}, which has no paired region`,
      fix: 'set it to false and keep a replica at the other site (recoveries with method replica), or choose a paired region',
    },
  ];
}
