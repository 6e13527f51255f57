/** The sandbox's commands: parse, call, print. */
import { InvalidArgumentError, type Command } from 'commander';
import { spawn } from 'node:child_process';
import { readEnvironment } from './environment';
import { SandboxError } from './error';
import { setSilence } from './silence';
import type { PartStatus, SandboxStatus } from './supervisor';
import { folders, sites, type Site } from './world';

// What a command needs is loaded when it runs: `env` must answer in a moment.
const supervisor = () => import('./supervisor');

const print = (line: string) => process.stdout.write(line + '\n');

const scopes = sites.flatMap((site) => [site, `${site}-cluster`] as const);
type Scope = Site | `${Site}-cluster`;

function parseScope(value: string): Scope {
  const scope = scopes.find((candidate) => candidate === value);
  if (!scope) throw new InvalidArgumentError(`site "${value}" is not known; allowed: ${scopes.join(', ')}.`);
  return scope;
}

function siteOf(scope: Scope): { site: Site; how: 'site' | 'cluster' } {
  const site = scope.startsWith('prod') ? 'prod' : 'intg';
  return { site, how: scope === site ? 'site' : 'cluster' };
}

function requireUp(): void {
  if (!readEnvironment())
    throw new SandboxError('SandboxDown', 'the sandbox is not up; start it with "standby sandbox up"');
}

export function addSandboxCommands(program: Command): void {
  const sandbox = program
    .command('sandbox')
    .description('the embedded cloud: both sites and the vendors, on this machine');

  sandbox
    .command('up')
    .description('start it (does its own set-up the first time)')
    .action(async () => {
      await (await supervisor()).up(print);
      print('next: eval "$(npx standby sandbox env)"; pulumi --cwd "$STANDBY_PROJECT" stack ls');
    });

  sandbox
    .command('down')
    .description('stop everything and remove its data; the caches stay')
    .action(async () => (await supervisor()).down(print));

  sandbox
    .command('status')
    .description('what runs, how much memory it takes, which site is silent')
    .option('--json', 'as JSON')
    .action(async (options: { json?: true }) => {
      const now = (await supervisor()).status();
      if (options.json) print(JSON.stringify(now, undefined, 2));
      else for (const line of statusLines(now)) print(line);
      if (!now.up) process.exitCode = 1;
    });

  sandbox
    .command('env')
    .description('endpoints and credentials for pulumi and the vendors’ tools, as shell exports')
    .option('--json', 'as JSON')
    .action((options: { json?: true }) => {
      requireUp();
      const variables = { ...readEnvironment()?.people, STANDBY_PROJECT: folders.project };
      if (options.json) print(JSON.stringify(variables, undefined, 2));
      else
        for (const [name, value] of Object.entries(variables))
          print(`export ${name}='${value.replaceAll("'", "'\\''")}'`);
    });

  sandbox
    .command('silence')
    .argument('<site>', `one of ${scopes.join(', ')}`, parseScope)
    .description('packets to the site (or only its cluster) go unanswered')
    .action((scope: Scope) => {
      requireUp();
      const { site, how } = siteOf(scope);
      setSilence(site, how);
      print(`${scope} is silent`);
    });

  sandbox
    .command('restore')
    .argument('<site>', `one of ${scopes.join(', ')}`, parseScope)
    .description('the site answers again')
    .action((scope: Scope) => {
      requireUp();
      setSilence(siteOf(scope).site, 'none');
      print(`${scope} answers again`);
    });

  sandbox
    .command('logs')
    .argument('<part>', 'a name from "standby sandbox status"')
    .option('-f, --follow', 'go on printing')
    .description('the log of one part')
    .action(async (part: string, options: { follow?: true }) => {
      const file = (await supervisor()).logOf(part);
      spawn('tail', ['-n', '200', ...(options.follow ? ['-f'] : []), file], { stdio: 'inherit' });
    });

  program
    .command('exercise')
    .description('the full run on the sandbox: PROD is taken down, INTG takes over, the business comes home')
    .option('--keep', 'leave the sandbox up')
    .action(async (options: { keep?: true }) => {
      const { exercise } = await import('./exercise/exercise');
      process.exitCode = await exercise({ keep: options.keep ?? false, report: print });
    });
}

function statusLines(now: SandboxStatus): string[] {
  const line = (part: PartStatus) =>
    `${part.running ? 'running' : 'stopped'}  ${part.memory.toFixed(0).padStart(5)} MiB  ${part.name}`;
  const silent = sites.filter((site) => now.silence[site] !== 'none').map((site) => `${site}: ${now.silence[site]}`);
  return [
    ...now.parts.map(line),
    ...now.others.map(line),
    `memory   ${now.memory.toFixed(0).padStart(5)} MiB in all`,
    `silent   ${silent.length ? silent.join(', ') : 'none'}`,
  ];
}
