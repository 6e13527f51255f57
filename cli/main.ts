/** `standby`: parses, calls, prints one line for a fault, sets the exit code. */
import { Command } from 'commander';
import { version } from '../package.json';
// The sandbox is a part of the tool, never of the programs that run on live sites.
// eslint-disable-next-line no-restricted-imports
import { addSandboxCommands } from '../sandbox/commands';

/** 0 done; 1 failed or refused, nothing hidden; 2 the command line itself is wrong. */
async function main(argv: readonly string[]): Promise<void> {
  const program = new Command('standby')
    .description('disaster recovery as code')
    .version(version)
    .option('--debug', 'show the stack trace of a fault')
    .exitOverride((fault) => process.exit(fault.exitCode === 0 ? 0 : 2));
  addSandboxCommands(program);
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (cause) {
    const fault = cause instanceof Error ? cause : new Error(String(cause));
    process.stderr.write(
      `standby: ${program.opts<{ debug?: true }>().debug ? (fault.stack ?? fault.message) : fault.message}\n`,
    );
    process.exitCode = 1;
  }
}

void main(process.argv.slice(2));
