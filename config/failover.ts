/** Configuration of the failover stack: where the business runs, on what data, and who can't be reached. */
import { z } from 'zod';
import { backupSchema } from './backup';
import * as f from './fields';

const serverName = f.text(/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/, {
  description: 'Name of the server that it is made from: one that a site was built with, or an earlier recovery.',
  allowed: 'the name of a server of this plan, such as psql-moodtalk-prod',
  fix: 'write the name as the failover stack shows it (`pulumi stack output servers`)',
});

const backedUp = z.string().regex(/^(database\/[a-z_][a-z0-9_]{0,62}|identity)$/);
const backupId = z.string().regex(/^\d{8}T\d{6}Z(-[0-9a-f]{6})?$/);

const recoverySchema = z.strictObject({
  epoch: f.whole(1, 1_000_000, 'Epoch of the update that makes it; it is part of its name.'),
  site: f.oneOf(f.sites, 'Site that it is made at.'),
  method: f.oneOf(
    ['geoRestore', 'import', 'replica', 'pointInTimeRestore'],
    "From Azure's last backup that reached this region, or empty and filled from kept backups (both work with the other site " +
      'gone), or as a streaming replica; or beside its source, at the same site, as that was at `pointInTime`: the way back ' +
      'behind data that somebody destroyed.',
  ),
  from: serverName,
  pointInTime: f.field(z.iso.datetime().optional(), {
    description:
      'Geo-restore: time to restore to; the vendor gives the last backup copied before it. ' +
      'Without it, the time at which the server is made. Point-in-time restore: the second to go back to; it must be there.',
    allowed: 'a time in UTC such as 2026-01-31T22:00:00Z; only for methods geoRestore and pointInTimeRestore',
    fix: 'write the time; a geo-restore may leave it out',
  }),
  backups: f.field(z.record(backedUp, backupId).optional(), {
    description:
      'Import: the kept backup of each data set that it is filled from, by `standby failover` before anybody may write to it.',
    allowed: 'database/NAME or identity, each with the id of a backup; only for method import',
    fix: 'write the ids that `standby backup list` and `standby estate list` show',
  }),
  promoted: f.field(z.boolean().optional(), {
    description:
      'Replica: it leaves its source and takes writes. Set in the same update that puts the business on it, and left set.',
    allowed: 'true, false; only for method replica',
    fix: 'set it to true in the update that works on this server',
  }),
  promotion: f.field(z.enum(['planned', 'forced']).optional(), {
    description:
      'Replica: whether a promotion waits until everything has arrived (planned, the default), or takes what has (forced).',
    allowed: 'planned, forced; only for method replica',
    fix: 'forced only when the source is gone: what had not arrived is lost',
  }),
  abandoned: f.field(z.string().min(10).optional(), {
    description:
      'Reason why the rows written on this server are given up. Without it nobody can go back behind the server.',
    allowed: 'a reason of 10 characters or more',
    fix: 'say why, and who decided',
  }),
});

/** Object id of somebody in the directory. */
const principalId = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;

const documentsSchema = z.strictObject({
  retentionDays: f.whole(1, 3_650, 'Days for which nobody can change or delete a version of a document.'),
  redundancy: f.redundancy('Copies of the store', 'Standard_GZRS'),
  writers: f.field(z.array(z.string().regex(principalId)).max(20).default([]), {
    description: 'Object ids of the identities that read and write documents: those of the applications at both sites.',
    allowed: 'a list of object ids (GUIDs) of service principals or managed identities of the tenant',
    fix: 'write what `az identity show --query principalId` prints',
  }),
});

export const unreachables = ['none', 'prod-cluster', 'prod', 'intg-cluster', 'intg'] as const;
export type Unreachable = (typeof unreachables)[number];

/** How far a change of role has gone. */
export const stages = ['made', 'bound', 'complete'] as const;
export type Stage = (typeof stages)[number];

export const failoverSchema = z.strictObject({
  company: f.company,
  zone: f.zone,
  hosts: f.hosts,
  activeSite: f.oneOf(f.sites, 'Site that the business runs on.'),
  database: f.oneOf(
    ['prod', 'restored'],
    'Data to work on: the newest server in PROD, or the newest one recovered at INTG.',
  ),
  identity: f.oneOf(
    ['prod', 'restored'],
    'Identity provider to log in at: the one in PROD, or the one recovered at INTG.',
  ),
  release: f.text(/^\d+\.\d+\.\d+(-[\w.]+)?@sha256:[0-9a-f]{64}$/, {
    description: 'Production release, the same at both sites.',
    allowed: 'VERSION@sha256:DIGEST (64 hexadecimal digits)',
    fix: 'append @sha256: and the digest of the image: both sites must run the same bytes',
  }),
  image: f.text(/^[a-z0-9.-]+(:\d+)?(\/[a-z0-9._-]+)+$/, {
    description: 'Image of the platform, without version.',
    allowed: 'REGISTRY/NAME',
    fix: 'write the name alone: the version is in standby:release',
  }),
  epoch: f.whole(1, 1_000_000, 'Fencing token: plus one at each change of role.'),
  stage: f.field(z.enum(stages).default('complete'), {
    description:
      'How far the change of role to `activeSite` has gone. `made`: servers are made, closed, and nothing runs at the active site; ' +
      '`bound`: databases are open and the platform runs there; in both the names stay where they are. `complete`: the names lead there too.',
    allowed: stages.join(', '),
    fix: 'leave it out, unless a change of role is carried out piece by piece',
  }),
  prepared: f.field(z.boolean().default(false), {
    description:
      'The standby site runs already, bound to what it works on after the next change of role (its streaming replica, else the ' +
      'database in use), able to read and not to write: a warm standby.',
    allowed: 'true, false',
  }),
  unreachable: f.field(z.enum(unreachables).default('none'), {
    description:
      "What nobody can reach, by a person's word: a site, or only its cluster. An update leaves it alone and waits for nothing of it.",
    allowed: unreachables.join(', '),
  }),
  recoveries: f.field(z.array(recoverySchema).max(50).default([]), {
    description:
      'Servers made since the sites were built, oldest first. An entry is added, never removed, by a failover.',
    allowed: 'a list of recoveries',
  }),
  replicas: f.whole(
    1,
    50,
    'Instances of each application at the active site; the standby has none, unless it is prepared.',
    2,
  ),
  agentImage: f.image('Agent that holds the writer lease for a site and fences the site when it loses it.'),
  writerLease: f.field(z.enum(['on', 'off']).default('on'), {
    description:
      'The active site holds a lease outside both sites and fences itself when it can no longer renew it. `off`: a site that ' +
      'is cut off goes on writing until somebody reaches it.',
    allowed: 'on, off',
  }),
  operatorPrincipalId: f.field(z.string().regex(principalId).optional(), {
    description:
      "Object id of the person, group or pipeline that carries out failovers: it gets access to the lease and the runs' journal. " +
      'Without it nobody does, and no run can begin.',
    allowed: 'the object id (a GUID) of a principal of the tenant',
    fix: 'write the id that `az ad signed-in-user show --query id` (or `az ad sp show`) prints',
  }),
  operatorPrincipalType: f.field(z.enum(['User', 'Group', 'ServicePrincipal']).default('User'), {
    description: 'What `operatorPrincipalId` is; a pipeline is a ServicePrincipal.',
    allowed: 'User, Group, ServicePrincipal',
  }),
  originCertificate: f.field(
    z
      .string()
      .regex(/^https:\/\/[a-z0-9-]+\.vault\.azure\.net\/certificates\/[\w-]+(\/\w+)?$/)
      .optional(),
    {
      description: "Certificate that the ingress shows to Cloudflare. Without it, the ingress controller's own.",
      allowed: 'the address of a certificate in an Azure key vault',
      fix: 'write https://NAME.vault.azure.net/certificates/NAME',
    },
  ),
  objectives: f.field(
    z.strictObject({
      recoveryTimeHours: f.whole(1, 720, 'Recovery time objective (RTO), in hours.'),
      recoveryPointHours: f.whole(1, 720, 'Recovery point objective (RPO), in hours.'),
    }),
    { description: 'What the plan promises.', allowed: 'two numbers of hours' },
  ),
  documents: f.field(documentsSchema.optional(), {
    description:
      "Store of customers' documents outside both sites, so that no change of role moves it: every version stays for its time. " +
      'Without it the stack makes none.',
    allowed: 'retentionDays, redundancy, writers',
  }),
  backup: f.field(backupSchema.optional(), {
    description: 'Backups that prove themselves (`standby backup`). Without it none are taken.',
    allowed: 'schedule, retention, recoveryPointMinutes, vaults, recipients, databases',
  }),
});

export type FailoverConfig = z.infer<typeof failoverSchema>;
export type Recovery = FailoverConfig['recoveries'][number];
/** The part of the configuration that a failover changes. */
export type Switch = Pick<
  FailoverConfig,
  'company' | 'activeSite' | 'database' | 'identity' | 'epoch' | 'stage' | 'prepared' | 'unreachable' | 'recoveries'
>;
