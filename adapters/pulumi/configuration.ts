/** The failover stack's configuration file: read as the engine of Pulumi would hand it over, and written in one move. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { isMap, isSeq, parse, parseDocument, type Document } from 'yaml';
import { ConfigurationError, formatIssue } from '../../config/issues';
import { loadFailover, project, type RawConfig } from '../../config/loader';
import type { FailoverConfig, Switch } from '../../config/failover';
import { StandbyError } from '../../failover/errors';
import { projectFolder, type Environment } from './command';

export const configurationFile = (environment: Environment): string =>
  path.join(projectFolder(environment), 'Pulumi.failover.yaml');

function readText(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (cause) {
    const fix = 'run it in the folder of Pulumi.yaml, or set STANDBY_PROJECT to that folder';
    const why = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw new StandbyError('ConfigurationUnread', `${file} can't be read (${why}): ${fix}`, { exit: 'usage' });
  }
}

const isSecret = (value: unknown) => typeof value === 'object' && value !== null && 'secure' in value;

/** Text stays text, everything else is JSON, secrets stay closed: as the engine does. */
function rawOf(text: string, file: string): RawConfig {
  let config: Record<string, unknown>;
  try {
    config = (parse(text) as { config?: Record<string, unknown> } | null)?.config ?? {};
  } catch (cause) {
    const line = (cause as Error).message.split('\n')[0];
    throw new StandbyError('ConfigurationUnread', `${file} is no YAML: ${line}`, { exit: 'usage' });
  }
  return Object.fromEntries(
    Object.entries(config)
      .filter(([, value]) => !isSecret(value))
      .map(([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value)]),
  );
}

/** @throws StandbyError ConfigurationInvalid, ConfigurationUnread. */
export function loadConfiguration(environment: Environment): FailoverConfig {
  const file = configurationFile(environment);
  try {
    return loadFailover(rawOf(readText(file), file));
  } catch (cause) {
    if (!(cause instanceof ConfigurationError)) throw cause;
    const issues = cause.issues.map(formatIssue).join('; ');
    throw new StandbyError('ConfigurationInvalid', `${file} is refused: ${issues}`, { cause });
  }
}

/** Values that stand for an absent key. */
const defaults: Readonly<Record<string, unknown>> = { stage: 'complete', prepared: false };

/** Changes what differs and nothing else: comments, order and secrets stay. */
function put(document: Document, at: readonly (string | number)[], value: unknown): void {
  const node = document.getIn(at, true);
  const now = document.getIn(at);
  const plain = isMap(node) || isSeq(node) ? (node.toJS(document) as unknown) : now;
  if (isDeepStrictEqual(plain, value)) return;
  if (isSeq(node) && Array.isArray(value) && value.length >= node.items.length) {
    value.forEach((item, index) => put(document, [...at, index], item));
    return;
  }
  document.setIn(at, typeof value === 'object' ? document.createNode(value) : value);
}

/** Sets the switch. A reader sees the old file or the new one, also when the power goes. */
export function writeSwitch(environment: Environment, values: Switch): void {
  const file = configurationFile(environment);
  const text = readText(file);
  const document = parseDocument(text);
  for (const [key, given] of Object.entries(values)) {
    const value = JSON.parse(JSON.stringify(given ?? null)) as unknown;
    const at = ['config', `${project}:${key}`];
    if (value === null || isDeepStrictEqual(value, defaults[key])) document.deleteIn(at);
    else put(document, at, value);
  }
  const changed = document.toString({ lineWidth: 0 });
  const invalid = document.errors[0] ?? invalidIn(changed, file);
  if (invalid) throw new StandbyError('ConfigurationInvalid', `${file} would be refused: ${invalid.message}`);
  if (changed !== text) replace(file, changed);
}

function invalidIn(text: string, file: string): Error | undefined {
  try {
    loadFailover(rawOf(text, file));
    return undefined;
  } catch (cause) {
    return cause instanceof ConfigurationError ? new Error(cause.issues.map(formatIssue).join('; ')) : (cause as Error);
  }
}

/** @throws StandbyError DiskFull; the file is then as it was. */
function replace(file: string, text: string): void {
  const draft = `${file}.${process.pid}.new`;
  try {
    const handle = fs.openSync(draft, 'w', fs.statSync(file).mode & 0o777);
    try {
      fs.writeSync(handle, text);
      fs.fsyncSync(handle);
    } finally {
      fs.closeSync(handle);
    }
    fs.renameSync(draft, file);
  } catch (cause) {
    fs.rmSync(draft, { force: true });
    const why = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw new StandbyError(
      'ConfigurationUnwritten',
      `${file} can't be written (${why}): make room or grant access, then \`standby resume\``,
      {
        exit: 'resumable',
      },
    );
  }
}
