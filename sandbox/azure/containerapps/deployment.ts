/** What a container app is to run, kept on disk with mode 0600: its environment holds the values of its secrets. */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { folders, type Site } from '../../world';

export interface Probe {
  readonly scheme: 'http' | 'https';
  readonly port: number;
  readonly path: string;
  readonly periodSeconds: number;
  readonly failureThreshold: number;
  readonly initialDelaySeconds: number;
}

export interface Deployment {
  readonly resourceId: string;
  /** Name of the process in the sandbox's list: `container-app/prod/rg/app`. */
  readonly process: string;
  readonly site: Site;
  readonly address: string;
  readonly revision: string;
  /** Image reference with digest, and the name it has in the registry. */
  readonly image: string;
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Files that volumes bring: absolute path in the container → text. */
  readonly files: Readonly<Record<string, string>>;
  /** Names that the ingress's certificate is issued for. */
  readonly names: readonly string[];
  readonly targetPort: number;
  readonly readiness: Probe | undefined;
  readonly liveness: Probe | undefined;
  desired: 'running' | 'stopped';
}

const root = path.join(folders.azure, 'containerapps');
const keyOf = (resourceId: string) => createHash('sha256').update(resourceId.toLowerCase()).digest('hex').slice(0, 16);

/** Everything of one app: `deployment.json`, its certificate, and `root/`, which plays the container's file system. */
export const folderOf = (resourceId: string) => path.join(root, keyOf(resourceId));
const fileOf = (resourceId: string) => path.join(folderOf(resourceId), 'deployment.json');

export function readDeployment(resourceId: string): Deployment | undefined {
  try {
    return JSON.parse(fs.readFileSync(fileOf(resourceId), 'utf8')) as Deployment;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
}

export function writeDeployment(deployment: Deployment): void {
  fs.mkdirSync(folderOf(deployment.resourceId), { recursive: true, mode: 0o700 });
  writeSecret(fileOf(deployment.resourceId), JSON.stringify(deployment));
}

export function listDeployments(): Deployment[] {
  if (!fs.existsSync(root)) return [];
  return fs.readdirSync(root).flatMap((key) => {
    const file = path.join(root, key, 'deployment.json');
    return fs.existsSync(file) ? [JSON.parse(fs.readFileSync(file, 'utf8')) as Deployment] : [];
  });
}

/** Writes a file for its owner alone, whole or not at all. */
export function writeSecret(file: string, text: string): void {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(`${file}.new`, text, { mode: 0o600 });
  fs.renameSync(`${file}.new`, file);
}
