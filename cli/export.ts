/** `standby export`: what customers need while the applications are down, out of the newest backup that a restore check passed. */
import { Option, type Command } from 'commander';
import * as path from 'node:path';
import { createCatalog } from '../adapters/backup/catalog';
import { fromBackup, writeExport } from '../adapters/backup/export';
import { readIdentities } from '../adapters/backup/seal';
import { backupOf, openVaults } from '../adapters/backup/vaults/vaults';
import { runsFolder } from '../adapters/journal/local';
import { openContext } from '../adapters/wire';
import { checkTenant, exportFileName, exportFormats, newestVerified, type ExportFormat } from '../backup/export';
import { StandbyError } from '../failover/errors';
import { interruptible } from './interrupt';
import { print, printJson } from './output';

interface Options {
  readonly format: ExportFormat;
  readonly tenant?: string;
  readonly recipient?: readonly string[];
  readonly out?: string;
  readonly json?: true;
}

const examples = `
Examples:
  standby export bookings --format xlsx --tenant 4711                  for one customer
  standby export shifts --format csv --tenant 4711 --recipient age1…   which that customer alone can open
  standby export bookings --format json --tenant 4711 --out /mnt/usb

What is exported is in standby:backup.exports. The recovery point stands in the file's name and in its first line.`;

export function addExportCommand(program: Command): void {
  program
    .command('export')
    .argument('<name>', 'one of standby:backup.exports')
    .description('rows for customers during an outage, from the newest verified backup, encrypted')
    .addOption(new Option('--format <format>').choices([...exportFormats]).default('csv'))
    .option('--tenant <id>', 'whose rows')
    .option('--recipient <key...>', "public keys of age that can open it (default: the configuration's)")
    .option('--out <folder>', 'where the file goes (default: STANDBY_RUNS)')
    .option('--json', 'typed events, one a line')
    .addHelpText('after', examples)
    .action(exportRows);
}

const publicKey = /^age1[02-9ac-hj-np-z]{58}$/;

async function exportRows(name: string, options: Options): Promise<void> {
  const { format, tenant } = options;
  const wrong = options.recipient?.find((key) => !publicKey.test(key));
  if (wrong !== undefined) {
    throw new StandbyError('RecipientWrong', '--recipient is no public key of age: age1 and 58 letters and digits', {
      exit: 'usage',
    });
  }
  await interruptible(async (signal) => {
    const progress = (message: string) =>
      options.json ? printJson({ code: 'ExportProgress', at: Date.now(), message }) : print(`  ${message}`);
    const call = { signal, progress };
    const context = await openContext(process.env, signal);
    const { exports = [], recipients } = backupOf(context);
    const definition = exports.find((one) => one.name === name);
    if (!definition) {
      const names = exports.map((one) => one.name).join(', ') || 'none';
      throw new StandbyError('NoSuchExport', `"${name}" is none of standby:backup.exports: there are ${names}`);
    }
    checkTenant(name, definition.sql, tenant);
    const vault = openVaults(context).site;
    const catalog = createCatalog(vault, context.configuration().company);
    const dataSet = `database/${definition.database}` as const;
    const [manifests, verdicts] = await Promise.all([
      catalog.manifests(dataSet, call),
      catalog.verdicts(dataSet, call),
    ]);
    const manifest = newestVerified(manifests, verdicts, definition.database);
    const { recoveryPoint } = manifest;
    progress(`backup ${manifest.id}, recovery point ${new Date(recoveryPoint).toISOString()}`);
    const file = path.join(options.out ?? runsFolder(process.env), exportFileName(name, format, recoveryPoint, tenant));
    const identities = await readIdentities(process.env);
    const wish = {
      name,
      sql: definition.sql,
      format,
      recoveryPoint,
      file,
      ...(tenant === undefined ? {} : { tenant }),
    };
    const rows = await fromBackup(
      { vault, manifest, identities, environment: process.env },
      (target) => writeExport(target, { ...wish, recipients: options.recipient ?? recipients }, call),
      call,
    );
    if (options.json) printJson({ code: 'Exported', at: Date.now(), file, rows, recoveryPoint });
    else print(`${rows} rows: ${file}`);
  });
}
