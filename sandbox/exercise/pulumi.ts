/** Plain Pulumi, as a person would type it: the command line, the project folder of the sandbox, its environment. */
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { readEnvironment } from '../environment';
import { SandboxError } from '../error';
import { folders, repository } from '../world';
import * as path from 'node:path';

const run = promisify(execFile);

export type Stack = 'prod' | 'intg' | 'failover';

const policies = [
  '--policy-pack',
  path.join(repository, 'policies'),
  '--policy-pack-config',
  path.join(repository, 'policies', 'profiles', 'moodtalk.json'),
];

/**
 * Runs one `pulumi` command.
 * @returns its standard output.
 * @throws SandboxError with the end of what it printed when it fails.
 */
export async function pulumi(
  stack: Stack,
  command: readonly string[],
  options: readonly string[] = [],
): Promise<string> {
  const args = [
    '--cwd',
    folders.project,
    '--non-interactive',
    '--color',
    'never',
    ...command,
    '--stack',
    stack,
    ...options,
  ];
  try {
    const { stdout } = await run('pulumi', args, {
      env: { ...process.env, ...readEnvironment()?.people },
      maxBuffer: 64 * 1024 ** 2,
    });
    return stdout;
  } catch (cause) {
    const { stdout = '', stderr = '' } = cause as { stdout?: string; stderr?: string };
    const said = diagnosis(`${stdout}\n${stderr}`);
    throw new SandboxError(
      'PulumiFailed',
      `pulumi ${command.join(' ')} --stack ${stack} failed:\n  ${said || String(cause)}`,
      { cause },
    );
  }
}

/** @returns what the policies and the engine say of the fault, without the progress before and the outputs after it. */
function diagnosis(text: string): string {
  const section = /^(?:Policies|Diagnostics):\n([\s\S]*?)(?=^(?:Outputs|Resources|Duration):|(?![\s\S]))/m.exec(
    text,
  )?.[1];
  return (section ?? text).trim().split('\n').slice(-40).join('\n  ');
}

export const create = (stack: Stack) => pulumi(stack, ['stack', 'init'], ['--no-select']);

export const up = (stack: Stack) => pulumi(stack, ['up'], ['--yes', '--skip-preview', ...policies]);

/** `pulumi config set` for several paths at once; numbers and booleans keep their type. */
export const configure = (stack: Stack, values: Readonly<Record<string, string | number>>) =>
  pulumi(
    stack,
    ['config', 'set-all'],
    ['--path', ...Object.entries(values).flatMap(([key, value]) => ['--plaintext', `standby:${key}=${value}`])],
  );

/** @returns the entries of `recoveries` in the failover stack's configuration. */
export function recoveries(): readonly unknown[] {
  const text = fs.readFileSync(path.join(folders.project, 'Pulumi.failover.yaml'), 'utf8');
  const { config } = parse(text) as { config: Readonly<Record<string, unknown>> };
  return (config['standby:recoveries'] ?? []) as readonly unknown[];
}

/** @returns undefined when a preview shows no change, else what it shows. */
export async function previewChange(stack: Stack): Promise<string | undefined> {
  try {
    await pulumi(stack, ['preview'], ['--expect-no-changes', '--diff']);
    return undefined;
  } catch (cause) {
    return (cause as Error).message;
  }
}

/** Secrets included: for the exercise's own use, never printed. */
export const outputs = async (stack: Stack): Promise<unknown> =>
  JSON.parse(await pulumi(stack, ['stack', 'output'], ['--json', '--show-secrets']));
