/**
 * Single tables of a restored server beside production: what is copied, how rows are compared by primary key, and in which order
 * they go back. Builds the SQL, with every name quoted, and runs none of it. Pure.
 */
import { StandbyError } from '../failover/errors';
import type { Instant } from './model';

export interface TableName {
  readonly schema: string;
  readonly name: string;
}

export interface Column {
  readonly name: string;
  /** With its schema. */
  readonly type: string;
  /** Computed by the server: it can't be written. */
  readonly generated: boolean;
  /** Numbered by the server. */
  readonly identity: boolean;
}

export interface ForeignKey {
  readonly name: string;
  readonly columns: readonly string[];
  readonly parent: TableName;
  readonly parentColumns: readonly string[];
}

/** A table as a server's catalogue has it. */
export interface TableShape extends TableName {
  readonly columns: readonly Column[];
  /** Columns of the primary key; empty when there is none. */
  readonly key: readonly string[];
  readonly foreignKeys: readonly ForeignKey[];
  /** Run for each row that is written. */
  readonly triggers: readonly string[];
}

/** Written into the comment of the schema that holds the copies: what they are, for whoever comes later. */
export interface CopyNote {
  readonly format: 1;
  readonly recoveryPoint: Instant;
  readonly from: string;
  readonly tables: readonly TableName[];
}

/** As PostgreSQL quotes an identifier. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
const literal = (text: string): string => {
  const body = text.replaceAll("'", "''");
  return body.includes('\\') ? ` E'${body.replaceAll('\\', '\\\\')}'` : `'${body}'`;
};
export const fullName = ({ schema, name }: TableName): string => `${quoted(schema)}.${quoted(name)}`;
export const shown = ({ schema, name }: TableName): string => (schema === 'public' ? name : `${schema}.${name}`);
const list = (names: readonly string[]): string => names.map(quoted).join(', ');
const same = (a: TableName, b: TableName): boolean => a.schema === b.schema && a.name === b.name;

/** @param text - `bookings,sales.shifts`. @throws StandbyError TablesWrong */
export function parseTables(text: string): TableName[] {
  const tables = text.split(',').map((part): TableName => {
    const names = part.trim().split('.');
    const [schema, name] = names.length === 1 ? ['public', names[0]] : names;
    if (names.length > 2 || !schema || !name) {
      throw wrongTables(`"${part.trim()}" is no table; allowed are names such as bookings or sales.bookings`);
    }
    return { schema, name };
  });
  const twice = tables.find((one, index) => tables.findIndex(({ name }) => name === one.name) < index);
  if (twice) throw wrongTables(`two tables are called ${twice.name}: restore them one after the other`);
  return tables;
}
const wrongTables = (why: string) => new StandbyError('TablesWrong', why, { exit: 'usage' });

/** @throws StandbyError SchemaWrong */
export function parseCopySchema(text: string): string {
  if (/^recovered_[a-z0-9_]{1,50}$/.test(text)) return text;
  throw new StandbyError(
    'SchemaWrong',
    `schema "${text}" is not allowed: it begins with recovered_, then lower-case letters, digits and _`,
    { exit: 'usage' },
  );
}

/** @throws StandbyError TableUnknown, NoPrimaryKey */
export function checkTables(wanted: readonly TableName[], found: readonly TableShape[], where: string): void {
  for (const table of wanted) {
    const shape = found.find((one) => same(one, table));
    if (!shape) throw new StandbyError('TableUnknown', `${where} has no table ${shown(table)}`);
    if (shape.key.length === 0) {
      throw new StandbyError(
        'NoPrimaryKey',
        `table ${shown(table)} has no primary key: its rows can't be told apart, so restore the whole server with \`standby restore --at\``,
      );
    }
  }
}

/** @returns a line for each foreign key that the copies do without, and for what happens when rows are written back. */
export function caveats(shapes: readonly TableShape[]): string[] {
  return shapes.flatMap((table) => [
    ...table.foreignKeys
      .filter(({ parent }) => !shapes.some((one) => same(one, parent)))
      .map(
        ({ name, columns, parent }) =>
          `${shown(table)}.${columns.join(', ')} refers to ${shown(parent)} (${name}), which is not among the tables: rows whose parent is gone can't be merged`,
      ),
    ...table.triggers.map((name) => `${shown(table)}: trigger ${name} runs for each row that is merged`),
  ]);
}

/** @returns statements for an empty copy: names, types and nothing that could act. */
export function createCopy(schema: string, { name, columns }: TableShape): string {
  const definitions = columns.map((column) => `${quoted(column.name)} ${column.type}`).join(', ');
  return `CREATE TABLE ${fullName({ schema, name })} (${definitions})`;
}
export const keyCopy = (schema: string, { name, key }: TableShape): string =>
  `ALTER TABLE ${fullName({ schema, name })} ADD PRIMARY KEY (${list(key)})`;
export const noteCopy = (schema: string, note: CopyNote): string =>
  `COMMENT ON SCHEMA ${quoted(schema)} IS ${literal(JSON.stringify(note))}`;

const columnsOf = ({ columns }: TableShape): string => list(columns.map(({ name }) => name));
export const copyOut = (table: TableShape): string =>
  `COPY (SELECT ${columnsOf(table)} FROM ${fullName(table)}) TO STDOUT`;
export const copyIn = (schema: string, table: TableShape): string =>
  `COPY ${fullName({ schema, name: table.name })} (${columnsOf(table)}) FROM STDIN`;

/** A copy (`r`, recovered) and the live table (`l`) side by side. */
export interface Pair {
  readonly copy: TableShape;
  readonly live: TableShape;
  /** Columns that both have and that can be written. */
  readonly columns: readonly Column[];
  /** Columns that only one of them has, in words. */
  readonly drift: readonly string[];
}

/** @throws StandbyError KeyChanged when the key is another one now. */
export function pair(copy: TableShape, live: TableShape): Pair {
  if (copy.key.join() !== live.key.join()) {
    throw new StandbyError(
      'KeyChanged',
      `the primary key of ${shown(live)} was (${copy.key.join(', ')}) and is (${live.key.join(', ')}) now: its rows can't be compared`,
    );
  }
  const has = (table: TableShape, { name }: Column) => table.columns.some((column) => column.name === name);
  const gone = copy.columns.filter((column) => !has(live, column)).map(({ name }) => `${name} was dropped since`);
  const added = live.columns.filter((column) => !has(copy, column)).map(({ name }) => `${name} was added since`);
  const columns = live.columns.filter((column) => has(copy, column) && !column.generated);
  return { copy, live, columns, drift: [...gone, ...added].map((what) => `${shown(live)}: column ${what}`) };
}

const sameKey = ({ live }: Pair): string =>
  live.key.map((name) => `r.${quoted(name)} = l.${quoted(name)}`).join(' AND ');
/** As text, because not every type can be compared, and a type may have been widened. */
const differs = ({ columns, live }: Pair): string =>
  columns
    .filter(({ name }) => !live.key.includes(name))
    .map(({ name }) => `r.${quoted(name)}::text IS DISTINCT FROM l.${quoted(name)}::text`)
    .join(' OR ') || 'false';

export const kinds = ['deleted', 'changed', 'added'] as const;
export type Kind = (typeof kinds)[number];
/** Rows since the recovery point: gone from the live table, different there, new there. */
export type Difference = Readonly<Record<Kind, number>>;

function compared(both: Pair): string {
  const first = quoted(both.live.key[0] as string);
  return `FROM ${fullName(both.copy)} r FULL JOIN ${fullName(both.live)} l ON ${sameKey(both)}
    CROSS JOIN LATERAL (SELECT CASE WHEN l.${first} IS NULL THEN 'deleted' WHEN r.${first} IS NULL THEN 'added'
      WHEN ${differs(both)} THEN 'changed' END AS kind) k WHERE k.kind IS NOT NULL`;
}

/** With a digest of the rows, both sides, in whatever order: as many may be others. As text, as `differs` compares them. */
export const countDifference = (both: Pair): string =>
  `SELECT k.kind, count(*)::text AS count, sum(hashtextextended(ROW(r.*, l.*)::text, 0))::text AS digest
    ${compared(both)} GROUP BY k.kind`;

/** One JSON text a row: key, the row as it was and as it is. */
export function rowsOfDifference(both: Pair): string {
  const key = both.live.key.map((name) => {
    const value = `coalesce(to_jsonb(r.${quoted(name)}), to_jsonb(l.${quoted(name)}))`;
    return `${literal(name)}, ${value}`;
  });
  const first = quoted(both.live.key[0] as string);
  const side = (alias: string) => `CASE WHEN ${alias}.${first} IS NOT NULL THEN to_jsonb(${alias}.*) END`;
  return `SELECT json_build_object('table', ${literal(shown(both.live))}, 'kind', k.kind, 'key', jsonb_build_object(${key.join(', ')}),
    'recovered', ${side('r')}, 'live', ${side('l')})::text AS line ${compared(both)}`;
}

export function insertDeleted(both: Pair): string {
  const names = both.columns.map(({ name }) => name);
  const numbered = both.columns.some(({ identity }) => identity) ? ' OVERRIDING SYSTEM VALUE' : '';
  return `INSERT INTO ${fullName(both.live)} (${list(names)})${numbered}
    SELECT ${names.map((name) => `r.${quoted(name)}`).join(', ')} FROM ${fullName(both.copy)} r
    WHERE NOT EXISTS (SELECT FROM ${fullName(both.live)} l WHERE ${sameKey(both)})`;
}

/** @returns undefined where a table is nothing but its key. */
export function overwriteChanged(both: Pair): string | undefined {
  const values = both.columns.filter(({ name }) => !both.live.key.includes(name)).map(({ name }) => quoted(name));
  if (values.length === 0) return undefined;
  return `UPDATE ${fullName(both.live)} l SET ${values.map((name) => `${name} = r.${name}`).join(', ')}
    FROM ${fullName(both.copy)} r WHERE ${sameKey(both)} AND (${differs(both)})`;
}

/** @returns a query for each foreign key: how many rows that would be written refer to a parent that is not there. */
export function countOrphans(both: Pair, all: readonly Pair[], overwrite: boolean): { key: ForeignKey; sql: string }[] {
  const written = `NOT EXISTS (SELECT FROM ${fullName(both.live)} l WHERE ${sameKey(both)}${overwrite ? ` AND NOT (${differs(both)})` : ''})`;
  const known = both.live.foreignKeys.filter(({ columns }) =>
    columns.every((name) => both.columns.some((column) => column.name === name)),
  );
  return known.map((key) => {
    const at = (alias: string) =>
      key.columns.map((name, index) => `${alias}.${quoted(key.parentColumns[index] as string)} = r.${quoted(name)}`);
    const there = (table: TableName) => `EXISTS (SELECT FROM ${fullName(table)} p WHERE ${at('p').join(' AND ')})`;
    const parentCopy = all.find(({ live }) => same(live, key.parent))?.copy;
    const found = [key.parent, ...(parentCopy ? [parentCopy] : [])].map(there).join(' OR ');
    const given = key.columns.map((name) => `r.${quoted(name)} IS NOT NULL`).join(' AND ');
    const sql = `SELECT count(*)::text AS count FROM ${fullName(both.copy)} r WHERE ${written} AND ${given} AND NOT (${found})`;
    return { key, sql };
  });
}

/** @returns parents before their children. @throws StandbyError TablesInCircle */
export function inOrder(pairs: readonly Pair[]): Pair[] {
  const done: Pair[] = [];
  const left = [...pairs];
  while (left.length > 0) {
    const waits = ({ live }: Pair) =>
      left.some((other) => !same(other.live, live) && live.foreignKeys.some(({ parent }) => same(parent, other.live)));
    const next = left.findIndex((one) => !waits(one));
    if (next < 0) {
      const names = left.map(({ live }) => shown(live)).join(', ');
      throw new StandbyError('TablesInCircle', `${names} refer to each other in a circle: merge them one at a time`);
    }
    done.push(...left.splice(next, 1));
  }
  return done;
}

/** @returns what a merge would do to a table, in one line. */
export function verdictOf(table: TableName, difference: Difference, overwrite: boolean): string {
  const { deleted, changed, added } = difference;
  const changedRows = overwrite
    ? `${changed} changed rows are overwritten with what they were`
    : `${changed} changed rows stay as they are now${changed > 0 ? ' (--overwrite-changed puts back what they were)' : ''}`;
  return `${shown(table)}: ${deleted} deleted rows come back, ${changedRows}, ${added} added rows stay`;
}
