/**
 * Data set `state`: what Pulumi knows of the three stacks. Secrets stay encrypted by each stack's own provider: who restores it
 * needs the passphrase or the key as well.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { z } from 'zod';
import type { Difference, EstateFile, EstateSet } from '../../../backup/estate/set';
import type { Call } from '../../../backup/ports';
import { canonical, digest } from '../../../failover/digest';
import { StandbyError } from '../../../failover/errors';
import type { AdapterContext } from '../../context';
import { pulumi, type Stack } from '../../pulumi/command';
import { firstLine } from '../../pulumi/fault';
import { stacks } from '../../pulumi/readings';
import { redactor } from '../../redact';
import { inFolder, readJsonFile, textFile } from './files';

type Environment = AdapterContext['environment'];

const exportMs = 60_000;
const fileName = (stack: Stack) => `${stack}.json`;

const exportSchema = z.looseObject({
  version: z.number(),
  deployment: z.looseObject({ resources: z.array(z.looseObject({ urn: z.string() })).optional() }).nullable(),
});
type Exported = z.infer<typeof exportSchema>;

export const stateSet = ({ environment }: Pick<AdapterContext, 'environment'>): EstateSet => ({
  dataSet: 'state',
  tool: 'pulumi stack export',
  collect: (call) => Promise.all(stacks.map((stack) => collect(environment, stack, call))),
  compare: async (files, call) =>
    (await Promise.all(stacks.map((stack) => compare(environment, files, stack, call)))).flat(),
  restore: (files, call) => restore(environment, files, call),
});

async function exported(environment: Environment, stack: Stack, { signal }: Call): Promise<string | undefined> {
  const options = { signal, timeoutMs: exportMs };
  const { code, stdout, stderr } = await pulumi(environment, ['stack', 'export', '--stack', stack], options);
  if (code === 0) return stdout;
  if (/no stack named/i.test(stderr)) return undefined;
  throw failed(environment, `pulumi stack export --stack ${stack}`, stderr);
}

const failed = (environment: Environment, what: string, said: string) =>
  new StandbyError('StateUnread', `${what}: ${redactor({ environment })(firstLine(said))}; check PULUMI_BACKEND_URL`, {
    retryable: true,
  });

async function collect(environment: Environment, stack: Stack, call: Call): Promise<EstateFile> {
  call.progress(`stack ${stack}`);
  const text = await exported(environment, stack, call);
  if (text !== undefined) return textFile(fileName(stack), text);
  throw new StandbyError('NoSuchStack', `there is no stack ${stack} to back up: run \`pulumi up --stack ${stack}\``);
}

const resourcesOf = ({ deployment }: Exported) => deployment?.resources ?? [];
const secretMark = '4dabf18193072939515e22adb298388d';

/** A secret that is sealed again looks otherwise, and nobody here can tell by whom it was changed: that it is one is compared. */
function unsealed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unsealed);
  if (typeof value !== 'object' || value === null) return value;
  if (secretMark in value) return 'secret';
  return Object.fromEntries(Object.entries(value).map(([key, own]) => [key, unsealed(own)]));
}

/** A state that was put into another backend has another time and version of the engine in it, and the same resources. */
const printOf = (state: Exported) => digest(canonical(unsealed(resourcesOf(state))));

const keptState = (files: readonly EstateFile[], stack: Stack) =>
  readJsonFile(files, fileName(stack), (value) => exportSchema.parse(value));

async function compare(
  environment: Environment,
  files: readonly EstateFile[],
  stack: Stack,
  call: Call,
): Promise<readonly Difference[]> {
  const kept = keptState(files, stack);
  const text = await exported(environment, stack, call);
  const now = text === undefined ? undefined : exportSchema.parse(JSON.parse(text));
  const what = `state of stack ${stack}`;
  const detail = `${now ? resourcesOf(now).length : 0} resources there, ${resourcesOf(kept).length} in the backup`;
  if (!now || (resourcesOf(now).length === 0 && resourcesOf(kept).length > 0))
    return [{ what, how: 'missing', detail }];
  return printOf(now) === printOf(kept) ? [] : [{ what, how: 'different', detail }];
}

/** Only into stacks that know nothing: an old state over a newer one would forget what was made since. */
async function restore(environment: Environment, files: readonly EstateFile[], call: Call): Promise<readonly string[]> {
  const differences = (await Promise.all(stacks.map((stack) => compare(environment, files, stack, call)))).flat();
  const other = differences.find(({ how }) => how === 'different');
  if (other) {
    throw new StandbyError(
      'StateNotEmpty',
      `${other.what} is another one (${other.detail}): it is restored into an empty stack alone; take it as files (--into FOLDER) and compare`,
    );
  }
  const done: string[] = [];
  for (const stack of stacks) {
    if (!differences.some(({ what }) => what.endsWith(` ${stack}`))) continue;
    await put(environment, files, stack, call);
    done.push(`state of stack ${stack} imported`);
  }
  return done;
}

async function put(environment: Environment, files: readonly EstateFile[], stack: Stack, call: Call): Promise<void> {
  call.progress(`stack ${stack}`);
  await inFolder('state', environment, async (folder) => {
    const file = path.join(folder, fileName(stack));
    fs.writeFileSync(file, JSON.stringify(keptState(files, stack)), { mode: 0o600 });
    if ((await exported(environment, stack, call)) === undefined)
      await run(environment, ['stack', 'init', stack, '--no-select'], call);
    await run(environment, ['stack', 'import', '--stack', stack, '--file', file], call);
  });
}

async function run(environment: Environment, args: readonly string[], { signal }: Call): Promise<void> {
  const { code, stderr } = await pulumi(environment, args, { signal, timeoutMs: exportMs });
  if (code === 0) return;
  const said = redactor({ environment })(firstLine(stderr));
  throw new StandbyError('StateNotRestored', `pulumi ${args.slice(0, 2).join(' ')}: ${said}`, { exit: 'resumable' });
}
