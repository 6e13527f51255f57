/** The engines to choose from. Each meets the same interface, so that nothing else asks which one it is. */
import { AzureSqlServer } from './azureSqlServer';
import type { DatabaseArgs, DatabaseEngine } from './engine';
import type { Options } from '../options';
import { PostgresqlServer } from './postgresqlServer';

/** Seconds. A server that was silenced is given up before people give up, and a promotion is seen at the next connection. */
const jdbcOptions = {
  sslmode: 'verify-full',
  // The platform's own certificates are the Java runtime's, so its store of trusted authorities decides.
  sslfactory: 'org.postgresql.ssl.DefaultJavaSSLFactory',
  targetServerType: 'primary',
  hostRecheckSeconds: '1',
  connectTimeout: '2',
  loginTimeout: '6',
  socketTimeout: '5',
  tcpKeepAlive: 'true',
};

const postgresql = {
  port: 5432,
  keycloakVendor: 'postgres',
  metrics: {
    memory: { metric: 'memory_percent', aggregation: 'Average', operator: 'GreaterThan' },
    storage: { metric: 'storage_percent', aggregation: 'Average', operator: 'GreaterThan' },
    connectivity: { metric: 'is_db_alive', aggregation: 'Maximum', operator: 'LessThan', threshold: 1 },
    load: { metric: 'active_connections', aggregation: 'Average', operator: 'GreaterThan' },
  },
  create: (name: string, args: DatabaseArgs, opts?: Options) => new PostgresqlServer(name, args, opts),
  jdbcUrl: (fqdn: string, database: string, source?: string) => {
    const hosts = [fqdn, ...(source === undefined ? [] : [source])].map((host) => `${host}:5432`);
    return `jdbc:postgresql://${hosts.join(',')}/${database}?${new URLSearchParams(jdbcOptions).toString()}`;
  },
} satisfies DatabaseEngine;

const sqlserver = {
  port: 1433,
  keycloakVendor: 'mssql',
  metrics: {
    memory: { metric: 'sql_instance_memory_percent', aggregation: 'Average', operator: 'GreaterThan' },
    storage: { metric: 'storage_percent', aggregation: 'Average', operator: 'GreaterThan' },
    connectivity: { metric: 'availability', aggregation: 'Average', operator: 'LessThan', threshold: 100 },
    load: { metric: 'sessions_count', aggregation: 'Average', operator: 'GreaterThan' },
  },
  create: (name: string, args: DatabaseArgs, opts?: Options) => new AzureSqlServer(name, args, opts),
  jdbcUrl: (fqdn, database) => `jdbc:sqlserver://${fqdn}:1433;databaseName=${database};encrypt=true`,
} satisfies DatabaseEngine;

export const databaseEngines = { postgresql, sqlserver } as const satisfies Readonly<Record<string, DatabaseEngine>>;
export type EngineName = keyof typeof databaseEngines;
