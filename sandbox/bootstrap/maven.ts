/** Fetches one pinned artifact: from the local Maven repository, through `mvn` (which knows mirrors and proxies), or by plain HTTPS. */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { download } from './download';
import { findExecutable } from './find';
import { run } from './run';
import type { Context, Progress } from './step';
import { versions } from './versions';

export interface Artifact {
  readonly group: string;
  readonly name: string;
  readonly version: string;
  /** File name extension: `tar.gz`. */
  readonly type: string;
  readonly sha256: string;
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(fs.createReadStream(file), hash);
  return hash.digest('hex');
}

const matches = async (file: string, { sha256 }: Artifact) => fs.existsSync(file) && (await sha256Of(file)) === sha256;

/**
 * @param folder where the file goes when it is not in the local repository.
 * @returns the path of the artifact, its content checked.
 * @throws SandboxError when it can't be fetched.
 */
export async function fetchArtifact(
  context: Context,
  artifact: Artifact,
  folder: string,
  { at }: Progress,
): Promise<string> {
  const fileName = `${artifact.name}-${artifact.version}.${artifact.type}`;
  const place = [...artifact.group.split('.'), artifact.name, artifact.version, fileName];
  const local = path.join(os.homedir(), '.m2', 'repository', ...place);
  if (await matches(local, artifact)) return local;
  const file = path.join(folder, fileName);
  const mvn = findExecutable('mvn');
  if (mvn) {
    at('fetching it through Maven');
    try {
      await copyByMaven(context, mvn, artifact, folder);
      if (await matches(file, artifact)) return file;
      throw new Error(`what Maven brought is not the file that is pinned (SHA-256 ${artifact.sha256})`);
    } catch (cause) {
      context.signal.throwIfAborted();
      context.report(`Keycloak: ${(cause as Error).message}: trying ${versions.mavenCentral} without Maven`);
    }
  }
  const onBytes = (bytes: number) => at(`${Math.round(bytes / 1e6)} MB fetched`);
  const url = [versions.mavenCentral, ...place].join('/');
  await download({ url, file, sha256: artifact.sha256, signal: context.signal, onBytes });
  return file;
}

async function copyByMaven({ signal }: Context, mvn: string, artifact: Artifact, folder: string): Promise<void> {
  const { group, name, version, type } = artifact;
  const goal = `org.apache.maven.plugins:maven-dependency-plugin:${versions.mavenDependencyPlugin}:copy`;
  const giveUp = ['aether.connector.connectTimeout', 'aether.connector.requestTimeout', 'maven.wagon.rto'];
  await run(
    mvn,
    [
      '--batch-mode',
      '--quiet',
      goal,
      `-Dartifact=${group}:${name}:${version}:${type}`,
      `-DoutputDirectory=${folder}`,
      ...giveUp.map((setting) => `-D${setting}=10000`),
    ],
    { signal, cwd: folder },
  );
}
