/** `…/databases`: found in the server itself, so a restored server shows the databases that came with its backup. */
import { escapeIdentifier, escapeLiteral } from 'pg';
import type { ArmContent, ArmResource, Context, Kind } from '../kind';
import { isUp, sql } from './cluster';
import type { ServerRecord } from './record';
import { isReady, need } from './server';
import { apiVersions, refuse, serverType, text, word } from './server-rules';
import { exclusively, unreachable } from './servers';

const type = `${serverType}/databases`;
const system = ['postgres', 'template0', 'template1', 'azure_maintenance', 'azure_sys'];
const defaultCollation = 'en_US.utf8';

interface Row {
  readonly name: string;
  readonly charset: string;
  readonly collation: string;
}

const rows = (record: ServerRecord) =>
  sql<Row>(
    record,
    `SELECT datname AS name, pg_encoding_to_char(encoding) AS charset,
            coalesce(replace(daticulocale, '-', '_') || '.utf8', datcollate) AS collation
     FROM pg_database WHERE NOT datistemplate ORDER BY datname`,
  );

const resourceOf = (parent: string, row: Row): ArmResource => ({
  id: `${parent}/databases/${row.name}`,
  name: row.name,
  type,
  properties: { charset: row.charset, collation: row.collation },
});

/** A server that does not run shows none; a silent one is not asked. */
async function live(ctx: Context): Promise<Row[]> {
  const record = need(ctx);
  return isUp(record) && !unreachable(record) ? rows(record) : [];
}

/** The vendor's locales are the C library's; those that this machine lacks are had from ICU, which sorts the same languages. */
function localeClause(collation: string): string {
  if (/^(C|POSIX|C\.utf-?8)$/i.test(collation))
    return `LOCALE_PROVIDER libc LC_COLLATE ${escapeLiteral(collation)} LC_CTYPE 'C.UTF-8'`;
  const language = /^([a-z]{2,3})_([A-Z]{2})\.utf-?8$/i.exec(collation);
  if (!language) {
    throw refuse(
      'InvalidParameterValue',
      `The collation '${collation}' is not known; use one such as ${defaultCollation} or C.`,
    );
  }
  return `LOCALE_PROVIDER icu ICU_LOCALE ${escapeLiteral(`${language[1]}-${language[2]}`)} LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'`;
}

/** @throws ArmError 400, 409 when the server can't be written to */
function needWritable(ctx: Context): ServerRecord {
  const record = need(ctx);
  if (record.role === 'replica')
    throw refuse('OperationNotAllowedOnReplica', `'${record.name}' is a read replica; change its source.`);
  if (record.desired === 'stopped')
    throw refuse('ServerIsStopped', `The server '${record.name}' is stopped; start it first.`, 409);
  return record;
}

async function put(ctx: Context, body: ArmContent): Promise<ArmContent> {
  const { name } = ctx.id;
  const record = needWritable(ctx);
  const charset = text(body.properties['charset']) ?? 'UTF8';
  const collation = text(body.properties['collation']) ?? defaultCollation;
  if (word(charset) !== 'utf8')
    throw refuse('InvalidParameterValue', `The charset '${charset}' is not supported here; use UTF8.`);
  const clause = localeClause(collation);
  await exclusively(record.name, async () => {
    if ((await rows(record)).some((row) => row.name === name)) return;
    const owner = escapeIdentifier(record.administratorLogin);
    await sql(
      record,
      `CREATE DATABASE ${escapeIdentifier(name)} OWNER ${owner} TEMPLATE template0 ENCODING 'UTF8' ${clause}`,
    );
  });
  return { properties: { charset: 'UTF8', collation } };
}

async function remove(ctx: Context): Promise<void> {
  if (!isReady(ctx)) return;
  const record = need(ctx);
  if (system.includes(ctx.id.name)) throw refuse('SystemDatabase', `'${ctx.id.name}' is a system database and stays.`);
  // It goes with its server when that is not running or not a primary.
  if (!isUp(record) || record.role === 'replica' || unreachable(record)) return;
  await sql(record, `DROP DATABASE IF EXISTS ${escapeIdentifier(ctx.id.name)} WITH (FORCE)`);
}

export const databases: Kind = {
  type,
  apiVersions,
  name: /^(?!(?:template[01]|azure_maintenance|azure_sys)$)[A-Za-z_][A-Za-z0-9_-]{0,62}$/,
  location: 'none',
  holds: 'parent',
  model: { package: '@azure/arm-postgresql-flexible', mapper: 'Database' },
  rules: [
    { path: 'properties.charset', immutable: true },
    { path: 'properties.collation', immutable: true },
  ],
  put,
  remove,
  async find(ctx, name) {
    const row = (await live(ctx)).find((each) => each.name === name);
    return row && resourceOf(ctx.id.parent as string, row);
  },
  list: async (ctx, parent) => (await live(ctx)).map((row) => resourceOf(parent.id, row)),
};
