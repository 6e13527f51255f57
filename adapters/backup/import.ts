/**
 * Fills a new server of the plan from kept backups, before anybody may write to it. What is there whole is written down in the server
 * itself, so whoever goes on after this process was killed knows what to leave and what to begin anew.
 */
import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import { escapeIdentifier } from 'pg';
import type { DataSet, Manifest } from '../../backup/model';
import { isDataSet } from '../../backup/names';
import type { Call, Vault } from '../../backup/ports';
import { differenceOf, type Fault } from '../../backup/verdict';
import { StandbyError } from '../../failover/errors';
import type { Facts, Json } from '../../failover/model';
import type { ChosenBackup } from '../../failover/ports';
import type { AdapterContext } from '../context';
import { serverPlace, serverTarget } from '../places';
import type { AdmissionTarget } from '../postgres/admission';
import { connected, transaction, untilAdmitted } from '../postgres/connection';
import { schema } from '../postgres/ownership';
import { makeRoles, readArchive, takeParts, type KeptArchive } from './archive';
import { createCatalog } from './catalog';
import { libpqEnvironment } from './dump';
import { openBackup } from './estate/keep';
import { identitySet } from './estate/identity';
import { readFacts } from './facts';
import { program, runProgram } from './program';
import { makeScratch } from './scratch';
import { readIdentities } from './seal';
import { backupOf, openSiteVault, openVaults } from './vaults/vaults';

/** Making a database, counting all rows of one. */
const patience = { statementMs: 3_600_000, connectMs: 10_000 };
const jobs = Math.max(2, os.availableParallelism());

interface Importing {
  readonly context: AdapterContext;
  readonly target: AdmissionTarget;
  readonly kept: KeptArchive;
  readonly scratch: string;
}

/**
 * @param open - the vault of a name.
 * @throws StandbyError NotAnImport, ServerInUse, DatabaseExists: nothing is ever emptied that this did not fill; ImportFailed; with the
 * code of a defect when a backup is not what was taken.
 */
export async function importBackups(
  context: AdapterContext,
  server: string,
  backups: Readonly<Record<string, ChosenBackup>>,
  call: Call,
  open: (name: string) => Vault = (name) => vaultOf(context, name),
): Promise<Facts> {
  if (serverPlace(context, server).recovery?.method !== 'import') {
    throw new StandbyError('NotAnImport', `server ${server} was not made for an import: nothing is put into it`);
  }
  const target = { ...serverTarget(context, server), filling: true };
  await untilAdmitted(home(target), call.signal);
  await makeRecord(target, backups, call);
  const facts: Record<string, Json> = {};
  for (const [name, chosen] of Object.entries(backups)) {
    if (!isDataSet(name)) throw new StandbyError('PlanInvalid', `"${name}" is no data set: make the plan again`);
    facts[name] = await importOne(context, target, name, chosen, open, call);
  }
  return { server, imported: facts };
}

/** The one at the other site is had without credentials of another provider. */
function vaultOf(context: AdapterContext, name: string): Vault {
  const site = openSiteVault(context);
  if (site.traits.name === name) return site;
  const found = openVaults(context).all.find(({ traits }) => traits.name === name);
  if (found) return found;
  throw new StandbyError('NoSuchVault', `vault "${name}", which the plan names, is none of this configuration`);
}

const home = (target: AdmissionTarget): AdmissionTarget => ({ ...target, database: 'postgres' });
const databaseOf = (target: AdmissionTarget, dataSet: DataSet): string =>
  dataSet === 'identity' ? target.identityDatabase : dataSet.slice('database/'.length);

/** All that is to come is written down first: a server that lacks any of it is opened to nobody. */
const makeRecord = (
  target: AdmissionTarget,
  backups: Readonly<Record<string, ChosenBackup>>,
  { signal }: Call,
): Promise<void> =>
  connected(home(target), signal, async (client) => {
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
    await client.query(
      `CREATE TABLE IF NOT EXISTS ${schema}.imported
       (data_set text PRIMARY KEY, id text NOT NULL, began timestamptz, ended timestamptz, facts jsonb)`,
    );
    for (const [dataSet, { id }] of Object.entries(backups)) {
      await client.query(
        `INSERT INTO ${schema}.imported SELECT $1, $2 WHERE to_regclass('${schema}.token') IS NULL
         ON CONFLICT DO NOTHING`,
        [dataSet, id],
      );
    }
  });

async function importOne(
  context: AdapterContext,
  target: AdmissionTarget,
  dataSet: DataSet,
  { id, vault: vaultName }: ChosenBackup,
  open: (name: string) => Vault,
  call: Call,
): Promise<Facts> {
  const before = await begin(target, dataSet, id, call);
  if (before) {
    call.progress(`${dataSet}: backup ${id} was imported before`);
    return before;
  }
  const began = performance.now();
  const vault = open(vaultName);
  const manifest = await createCatalog(vault, context.configuration().company).manifest(dataSet, id, call);
  if (!manifest) throw flawed(dataSet, id, { defect: 'BackupNotReadable', detail: 'its manifest is none' });
  const scratch = await makeScratch('import', context.environment);
  try {
    const identities = await readIdentities(context.environment);
    const importing = { context, target, scratch, kept: { vault, manifest, identities } };
    const fault = dataSet === 'identity' ? await fillIdentity(importing, call) : await fillDatabase(importing, call);
    if (fault) {
      const found = open(backupOf(context).vaults.site);
      // A key that does not fit says nothing against a backup.
      if (fault.defect !== 'BackupNotReadable') await keepFault(importing, fault, secondsSince(began), found, call);
      throw flawed(dataSet, id, fault);
    }
    const facts = { id, recoveryPoint: manifest.recoveryPoint, rows: rowsOf(manifest), seconds: secondsSince(began) };
    await end(target, dataSet, facts, call);
    return facts;
  } finally {
    await fs.rm(scratch, { recursive: true, force: true });
  }
}

const secondsSince = (began: number): number => Math.round((performance.now() - began) / 100) / 10;
const rowsOf = ({ facts }: Manifest): Json =>
  facts ? Object.values(facts.rows).reduce((sum, count) => sum + count, 0) : null;

const flawed = (dataSet: DataSet, id: string, { defect, detail }: Fault) =>
  new StandbyError(
    defect,
    `backup ${id} of ${dataSet} is not what was taken: ${detail}; nobody may write to what came of it: standby abort, then plan again, which passes it over`,
    { exit: 'person' },
  );

/**
 * Writes down that an import begins, then empties the database; an import that was cut off has left something in it.
 * @returns what was found when it was imported before, whole.
 */
const begin = (target: AdmissionTarget, dataSet: DataSet, id: string, { signal }: Call): Promise<Facts | undefined> =>
  connected(
    home(target),
    signal,
    async (client) => {
      const database = databaseOf(target, dataSet);
      const { rows } = await client.query<{ id: string; facts: Facts | null }>(
        `SELECT id, facts FROM ${schema}.imported WHERE data_set = $1 AND began IS NOT NULL`,
        [dataSet],
      );
      const [known] = rows;
      if (known?.id === id && known.facts) return known.facts;
      await transaction(client, async () => {
        await refuseInUse(target, client.query.bind(client), known ? undefined : database);
        await client.query(
          `INSERT INTO ${schema}.imported VALUES ($1, $2, now()) ON CONFLICT (data_set)
           DO UPDATE SET id = excluded.id, began = now(), ended = NULL, facts = NULL`,
          [dataSet, id],
        );
      });
      await client.query(`DROP DATABASE IF EXISTS ${escapeIdentifier(database)} WITH (FORCE)`);
      return undefined;
    },
    patience,
  );

type Query = (text: string, values?: unknown[]) => Promise<{ readonly rowCount: number | null }>;

/** @param unknown - a database that no import has begun to fill. */
async function refuseInUse({ host }: AdmissionTarget, query: Query, unknown: string | undefined): Promise<void> {
  const admitted = await query(`SELECT WHERE to_regclass('${schema}.token') IS NOT NULL`);
  if (admitted.rowCount !== 0) {
    throw new StandbyError(
      'ServerInUse',
      `server ${host} was opened to an epoch already: nothing is imported over it`,
      {
        exit: 'person',
      },
    );
  }
  const there = unknown ? await query('SELECT FROM pg_database WHERE datname = $1', [unknown]) : { rowCount: 0 };
  if (there.rowCount !== 0) {
    throw new StandbyError(
      'DatabaseExists',
      `server ${host} has a database ${unknown} that no import has begun: look what it is, and drop it if nobody misses it`,
      { exit: 'person' },
    );
  }
}

const end = (target: AdmissionTarget, dataSet: DataSet, facts: Facts, { signal }: Call): Promise<void> =>
  connected(home(target), signal, async (client) => {
    await client.query(`UPDATE ${schema}.imported SET ended = now(), facts = $2 WHERE data_set = $1`, [dataSet, facts]);
  });

/** What was found is kept beside the backup, so that the next plan passes it over. */
async function keepFault(
  { context, kept: { vault, manifest } }: Importing,
  { defect, detail }: Fault,
  seconds: number,
  to: Vault,
  call: Call,
): Promise<void> {
  const { dataSet, id, recoveryPoint, parts } = manifest;
  const verdict = {
    ...{ dataSet, id, vault: vault.traits.name, verifiedAt: Date.now(), recoveryPoint, seconds, defect },
    bytes: parts.reduce((sum, part) => sum + part.plainBytes, 0),
    checks: [{ name: 'import', passed: false, detail }],
  };
  await createCatalog(to, context.configuration().company)
    .keepVerdict(verdict, call)
    .catch((cause: Error) => call.progress(`${dataSet}: the finding is not kept: ${cause.message}`));
}

async function fillDatabase(importing: Importing, call: Call): Promise<Fault | undefined> {
  const { context, target, kept, scratch } = importing;
  const { dataSet, facts: source } = kept.manifest;
  const database = databaseOf(target, dataSet);
  const folder = path.join(scratch, 'parts');
  await fs.mkdir(folder, { mode: 0o700 });
  const fault = await takeParts(kept, folder, call);
  if (fault) return fault;
  const archive = await readArchive(folder, context.environment, call);
  if ('defect' in archive) return archive;
  if (!source) return { defect: 'BackupNotReadable', detail: 'its manifest says nothing of the database' };
  if (archive.database !== database || source.database !== database) {
    return { defect: 'BackupOfWrongDatabase', detail: `it is of ${archive.database}, wanted is ${database}` };
  }
  // What is made later belongs to whom the admission says, and is granted by it.
  const entries = archive.entries.filter((line) => !/^\d+; \d+ \d+ DEFAULT ACL /.test(line));
  await connected(
    home(target),
    call.signal,
    async (client) => {
      await makeRoles(client, source.roles ?? []);
      await client.query(await creation(archive.entries, folder, importing, call));
    },
    patience,
  );
  await restore({ ...target, database }, entries, folder, importing, call);
  call.progress(`${dataSet}: what came is counted`);
  const found = await connected(
    { ...target, database },
    call.signal,
    async (client) => {
      // Without statistics the first users would wait for wrong plans.
      await client.query('ANALYZE');
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      return readFacts(client, { roles: false });
    },
    patience,
  );
  return differenceOf(source, found);
}

/** @returns the statement that makes the database as it was, encoding and order of text included. */
async function creation(
  entries: readonly string[],
  folder: string,
  { context, target, kept, scratch }: Importing,
  { signal }: Call,
): Promise<string> {
  const list = path.join(scratch, 'database.list');
  await fs.writeFile(list, entries.filter((line) => /^\d+; \d+ \d+ DATABASE - /.test(line)).join('\n'));
  const args = ['--create', '--no-owner', `--use-list=${list}`, '--file=-', folder];
  const { stdout } = await runProgram(program('pg_restore', context.environment), args, {
    ...{ signal, code: 'ImportFailed' },
  });
  const plain = `CREATE DATABASE ${escapeIdentifier(databaseOf(target, kept.manifest.dataSet))} TEMPLATE template0`;
  return /^CREATE DATABASE .*;$/m.exec(stdout)?.[0] ?? plain;
}

/** Tables belong to the administrator first; whoever is admitted takes them over. */
async function restore(
  target: AdmissionTarget,
  entries: readonly string[],
  folder: string,
  { context, kept, scratch }: Importing,
  call: Call,
): Promise<void> {
  const { environment } = context;
  const list = path.join(scratch, 'import.list');
  await fs.writeFile(list, entries.join('\n'));
  const tables = entries.filter((line) => / TABLE DATA /.test(line)).length;
  let filled = 0;
  const onLine = (line: string) => {
    if (/finished item \d+ TABLE DATA /.test(line)) filled += 1;
    else if (!/launching item \d+ (INDEX|CONSTRAINT|FK CONSTRAINT) /.test(line)) return;
    call.progress(`${kept.manifest.dataSet}: ${filled} of ${tables} tables are filled`);
  };
  const args = ['--exit-on-error', '--verbose', `--jobs=${jobs}`, '--no-owner', '--no-subscriptions'];
  const where = ['--no-tablespaces', `--use-list=${list}`, `--dbname=${target.database}`, folder];
  await runProgram(program('pg_restore', environment), [...args, ...where], {
    ...{ env: await libpqEnvironment(target, environment, scratch), signal: call.signal },
    ...{ code: 'ImportFailed', onLine },
  });
}

async function fillIdentity({ context, target, kept }: Importing, call: Call): Promise<Fault | undefined> {
  const database = target.identityDatabase;
  await connected(
    home(target),
    call.signal,
    (client) => client.query(`CREATE DATABASE ${escapeIdentifier(database)} TEMPLATE template0 ENCODING 'UTF8'`),
    patience,
  );
  const { realm } = context.landscape.sites.prod.identity;
  const place = { environment: context.environment, target: { ...target, database }, realm };
  try {
    const files = await openBackup(kept.vault, kept.manifest, kept.identities, call);
    await identitySet(place).restore!(files, call);
    return undefined;
  } catch (cause) {
    call.signal.throwIfAborted();
    if (!(cause instanceof StandbyError)) throw cause;
    if (cause.code === 'RestoreFailed') return { defect: 'BackupWithoutData', detail: cause.message };
    const found = /^Backup(Truncated|Corrupt|NotReadable|Empty)$/.test(cause.code);
    if (!found) throw cause;
    return { defect: cause.code as Fault['defect'], detail: cause.message };
  }
}
