/** Tables outlive epochs: whatever an administrator or an epoch made in the application's database goes to the owner role. */
import { escapeIdentifier, type Client } from 'pg';
import { epochRole, ownerRole } from '../../config/credentials';

/**
 * Schema of what belongs to the plan itself, in the application's database and in `postgres`. Not a name that a login may have: a
 * schema that is called like a login comes first in its search path.
 */
export const schema = 'standby_plan';

const notOurs = (namespace: string) => `${namespace} !~ '^pg_' AND ${namespace} NOT IN ('information_schema')`;
const noExtension = (catalog: string, oid: string) =>
  `NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = '${catalog}'::regclass AND d.objid = ${oid} AND d.deptype = 'e')`;
/** Objects of somebody whom the administrator may act for, and who is not the owner role ($1). */
const handedOver = (owner: string) =>
  `${owner} <> (SELECT oid FROM pg_roles WHERE rolname = $1) AND pg_has_role(${owner}, 'USAGE')`;
/** Where the owner role may not make anything it can't own anything either. */
const reachable = `has_schema_privilege($1, n.oid, 'CREATE')`;

const schemas = `
  SELECT format('ALTER SCHEMA %I OWNER TO %I', n.nspname, $1::text) AS text
    FROM pg_namespace n
    WHERE ${notOurs('n.nspname')} AND n.nspname <> 'public' AND ${handedOver('n.nspowner')}
      AND ${noExtension('pg_namespace', 'n.oid')}`;

/** One statement for each object that somebody else owns. A sequence of a column follows its table. */
const objects = `
  SELECT format('ALTER %s %I.%I OWNER TO %I',
                CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                               WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, n.nspname, c.relname, $1::text) AS text
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND ${notOurs('n.nspname')} AND ${reachable} AND ${handedOver('c.relowner')}
      AND ${noExtension('pg_class', 'c.oid')}
      AND NOT (c.relkind = 'S' AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                                           AND d.objid = c.oid AND d.deptype IN ('a', 'i')))
  UNION ALL
  SELECT format('ALTER ROUTINE %s OWNER TO %I', p.oid::regprocedure, $1::text)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE ${notOurs('n.nspname')} AND ${reachable} AND ${handedOver('p.proowner')} AND ${noExtension('pg_proc', 'p.oid')}
  UNION ALL
  SELECT format('ALTER TYPE %I.%I OWNER TO %I', n.nspname, t.typname, $1::text)
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
    WHERE (t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c') AND ${notOurs('n.nspname')} AND ${reachable}
      AND ${handedOver('t.typowner')} AND ${noExtension('pg_type', 't.oid')}`;

/**
 * Makes the application's database belong to the owner role, also what the roles of `epochs` will make in it, and the table
 * that a write is tried on. To be run inside a transaction.
 */
export async function takeOver(client: Client, company: string, epochs: readonly number[]): Promise<void> {
  const owner = escapeIdentifier(ownerRole(company));
  const { rows: facts } = await client.query<{ name: string }>('SELECT current_database() AS name');
  const database = escapeIdentifier(facts[0]?.name ?? '');
  await client.query(`
    GRANT CONNECT, CREATE, TEMPORARY ON DATABASE ${database} TO ${owner};
    GRANT ALL ON SCHEMA public TO ${owner};
    -- Databases that come from before PostgreSQL 15 let everybody make tables.
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    CREATE SCHEMA IF NOT EXISTS ${schema} AUTHORIZATION ${owner};
    CREATE TABLE IF NOT EXISTS ${schema}.probe (epoch int PRIMARY KEY, word text NOT NULL, at timestamptz NOT NULL)`);
  for (const question of [schemas, objects]) {
    const { rows } = await client.query<{ text: string }>(question, [ownerRole(company)]);
    if (rows.length > 0) await client.query(rows.map(({ text }) => text).join(';\n'));
  }
  const makers = ['CURRENT_USER', ...epochs.map((epoch) => escapeIdentifier(epochRole(company, epoch)))];
  const kinds = ['TABLES', 'SEQUENCES', 'ROUTINES', 'TYPES'];
  const defaults = makers.flatMap((maker) =>
    kinds.map((kind) => `ALTER DEFAULT PRIVILEGES FOR ROLE ${maker} GRANT ALL ON ${kind} TO ${owner}`),
  );
  await client.query(defaults.join(';\n'));
}
