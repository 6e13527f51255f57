/** The configuration files of a server. They lie outside its data, so that a copy of the data brings none of them along. */
import * as os from 'node:os';
import * as path from 'node:path';
import { authorityFile } from '../../authority';
import { plan, ports, sites } from '../../world';
import { cover, overlaps } from './network';
import { dataFolder, serverFolder, socketFolder, writeWhole, type IpRange, type ServerRecord } from './record';

/** The service's own superuser (local socket only) and the role that replicas log in with; no person can be either. */
export const superuser = 'azuresu';
export const replicationRole = 'azure_replication';

/** Handled by the service, not by PostgreSQL: whether unencrypted connections are let in. */
export const secureTransport = 'require_secure_transport';

const fileIn = (record: ServerRecord, name: string) => path.join(serverFolder(record.name), name);
export const configFile = (record: ServerRecord) => fileIn(record, 'server.conf');
export const certificateFile = (record: ServerRecord) => fileIn(record, 'tls.crt');
export const keyFile = (record: ServerRecord) => fileIn(record, 'tls.key');

/** Parameters that a person may change too; a person's value comes later in the file and wins. */
const defaults: Readonly<Record<string, string>> = {
  ssl_min_protocol_version: 'TLSv1.2',
  max_connections: '100',
  shared_buffers: '48MB',
  max_wal_senders: '20',
  max_replication_slots: '20',
  max_wal_size: '1GB',
  max_slot_wal_keep_size: '1GB',
  wal_sender_timeout: '10s',
  jit: 'off',
};

/** Parameters that belong to the service. */
const fixed = (record: ServerRecord): Readonly<Record<string, string>> => ({
  data_directory: dataFolder(record.name),
  hba_file: fileIn(record, 'hba.conf'),
  ident_file: fileIn(record, 'ident.conf'),
  listen_addresses: record.address,
  port: String(ports.postgres),
  unix_socket_directories: socketFolder(record.name),
  ssl: 'on',
  ssl_cert_file: certificateFile(record),
  ssl_key_file: keyFile(record),
  password_encryption: 'scram-sha-256',
  hot_standby: 'on',
  wal_retrieve_retry_interval: '500ms',
  wal_receiver_timeout: '10s',
  cluster_name: record.name,
  log_line_prefix: '%m [%p] ',
});

/** Names that a person can't set, apart from those that PostgreSQL itself calls internal. */
export const reserved = (name: string) =>
  /^(data_directory|config_file|hba_file|ident_file|listen_addresses|port|unix_socket_.*|external_pid_file|cluster_name|fsync|full_page_writes|wal_sync_method|ssl|ssl_(ca|cert|key|crl|dh).*|password_encryption|archive_.*|restore_command|recovery_.*|primary_.*|promote_trigger_file|synchronous_standby_names|hot_standby|log_destination|logging_collector|log_directory|log_filename|log_file_mode|syslog_.*|event_source|shared_preload_libraries|local_preload_libraries|session_preload_libraries|dynamic_library_path|allow_system_table_mods|zero_damaged_pages|ignore_.*|wal_receiver_timeout|wal_retrieve_retry_interval|max_slot_wal_keep_size|ssl_passphrase_.*|krb_.*|db_user_namespace|bonjour.*|data_sync_retry)$/.test(
    name,
  );

const line = ([name, value]: readonly [string, string]) => `${name} = '${value.replaceAll("'", "''")}'\n`;

/** Writes server.conf, hba.conf and ident.conf. `recovery` holds what a restore or a replica needs on top. */
export function writeSettings(record: ServerRecord, recovery: Readonly<Record<string, string>> = {}): void {
  const chosen = Object.entries(record.parameters).filter(([name]) => name !== secureTransport);
  const settings = [...Object.entries(defaults), ...chosen, ...Object.entries({ ...fixed(record), ...recovery })];
  writeWhole(configFile(record), settings.map(line).join(''));
  writeHba(record);
  const users = new Set(['postgres', os.userInfo().username]);
  writeWhole(fileIn(record, 'ident.conf'), [...users].map((user) => `service ${user} ${superuser}\n`).join(''));
}

/** Writes hba.conf: who is not named by a firewall rule is refused by PostgreSQL itself, before any password is asked for. */
export function writeHba(record: ServerRecord): void {
  const type = record.parameters[secureTransport] === 'off' ? 'host' : 'hostssl';
  const lines = [
    `local all ${superuser} peer map=service`,
    `local replication ${superuser} peer map=service`,
    // Replicas come from inside the vendor's network, which is no address of the world.
    `hostssl replication ${replicationRole} 127.0.0.1/32 scram-sha-256`,
    `host all ${superuser},${replicationRole} 0.0.0.0/0 reject`,
    ...record.ranges
      .flatMap((range) => networksOf(record, range))
      .map((network) => `${type} all all ${network} scram-sha-256`),
  ];
  writeWhole(fileIn(record, 'hba.conf'), lines.join('\n') + '\n');
}

/** The range 0.0.0.0 stands for every address inside the vendor's cloud: here, both sites. */
const allOfTheCloud = (range: IpRange) => range.start === '0.0.0.0' && range.end === '0.0.0.0';

/**
 * Networks that a rule lets in. On Azure a site's traffic leaves through its egress address for its own servers too; here it
 * reaches them from the addresses inside the site. So a rule that names the server's own site lets that site in.
 */
function networksOf(record: ServerRecord, range: IpRange): string[] {
  if (allOfTheCloud(range)) return sites.map((site) => plan[site].range);
  const own = plan[record.site].range;
  return overlaps(range, own) ? [...cover(range), own] : cover(range);
}

/** What a connection from another region to the server needs, as libpq's keywords: encrypted, verified, as the replication role. */
export const remoteConnection = (record: ServerRecord, passFile: string): Readonly<Record<string, string>> => ({
  host: record.fqdn,
  hostaddr: record.address,
  port: String(ports.postgres),
  user: replicationRole,
  passfile: passFile,
  sslmode: 'verify-full',
  sslrootcert: authorityFile,
  connect_timeout: '5',
});

/** @returns libpq's connection string. */
export const connectionString = (keywords: Readonly<Record<string, string>>) =>
  Object.entries(keywords)
    .map(([name, value]) => `${name}='${value.replace(/[\\']/g, '\\$&')}'`)
    .join(' ');

/** A connection of the service to a server beside it. */
export const localConnection = (record: ServerRecord): Readonly<Record<string, string>> => ({
  host: socketFolder(record.name),
  port: String(ports.postgres),
  user: superuser,
});
