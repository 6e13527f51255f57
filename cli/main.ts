/** `standby`: parses, wires, prints one line for a fault, sets the exit code. */
import { Command } from 'commander';
import { setMaxListeners } from 'node:events';
import { version } from '../package.json';
import { exitCodes } from '../failover/errors';
import { addChangeCommands, addPlanCommand } from './change';
import { addCompletionCommand } from './completion';
import { exitOf, report } from './output';
import { addRunCommands } from './runs';
import { addStatusCommand } from './status';

const help = `
Exit codes (docs/runbooks/0300.md says what to do about each):
  0 done   1 fault   2 wrong command line   3 refused, nothing changed   4 stopped half-way: standby resume
  5 failed, the business runs where it ran   6 something that only a person can decide or put right

Examples:
  standby status
  standby failover --to intg --dry-run
  standby failover --to intg
  standby resume`;

/** Commands that bring much with them: loaded when they are asked for, listed by one line otherwise. */
interface Large {
  readonly listed: Readonly<Record<string, string>>;
  readonly add: (program: Command) => Promise<void>;
}
const large: readonly Large[] = [
  {
    listed: { export: 'rows for customers during an outage, from the newest verified backup, encrypted' },
    add: async (program) => (await import('./export')).addExportCommand(program),
  },
  {
    listed: { restore: 'the database as it was: a new server, single tables, or the last clean second' },
    add: async (program) => (await import('./restore')).addRestoreCommand(program),
  },
  {
    listed: { backup: 'backups that prove themselves: taken, kept where nobody deletes them, restored' },
    add: async (program) => (await import('./backup')).addBackupCommand(program),
  },
  {
    listed: { drill: 'INTG in isolation, on a copy of production’s data; production is not touched' },
    add: async (program) => (await import('./drill')).addDrillCommand(program),
  },
  {
    listed: {
      estate: 'names, state, secrets, source code and all else that a failover needs: taken, and brought back',
    },
    add: async (program) => (await import('./estate')).addEstateCommand(program),
  },
  {
    listed: { watch: 'probe both sites from outside; raise the alert, with the command to run' },
    add: async (program) => (await import('./watch')).addWatchCommand(program),
  },
  {
    listed: {
      sandbox: 'the embedded cloud: both sites and the vendors, on this machine',
      exercise: 'the full run on the sandbox: PROD is taken down, INTG takes over, and home again',
    },
    add: addSandbox,
  },
];

/** The sandbox is a part of the tool, never of the programs that run on live sites; it is not in the bundle. */
async function addSandbox(program: Command): Promise<void> {
  const { registerTypeScript } = await import('../bin/dependencies');
  registerTypeScript();
  (await import('../sandbox/commands')).addSandboxCommands(program);
}

async function addLarge(program: Command, argv: readonly string[]): Promise<void> {
  const asked = (name: string) => argv.includes(name) || argv.includes('completion');
  for (const { listed, add } of large) {
    if (Object.keys(listed).some(asked)) await add(program);
    else for (const [name, says] of Object.entries(listed)) program.command(name).description(says);
  }
}

async function main(argv: readonly string[]): Promise<void> {
  // One signal stops everything that is asked side by side: more than ten listeners are no leak.
  setMaxListeners(100);
  // A reader that has gone (`| head`, a closed terminal) is no reason to stop a run in the middle.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const program = new Command('standby')
    .description('disaster recovery as code: one command fences, moves, verifies, resumes and comes back')
    .version(version)
    .option('--debug', 'show the stack trace of a fault')
    .showHelpAfterError('(see --help)')
    .addHelpText('after', help)
    .exitOverride((fault) => process.exit(fault.exitCode === 0 ? exitCodes.done : exitCodes.usage));
  addStatusCommand(program);
  addPlanCommand(program);
  addChangeCommands(program);
  addRunCommands(program);
  try {
    await addLarge(program, argv);
    addCompletionCommand(program);
    await program.parseAsync([...argv], { from: 'user' });
  } catch (cause) {
    report(cause, { debug: argv.includes('--debug'), json: argv.includes('--json') });
    process.exitCode = exitOf(cause);
  }
}

void main(process.argv.slice(2));
