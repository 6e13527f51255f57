/** Object storage of another provider: an S3 server with object lock, whose files a test can get at behind its back. */
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import { s3Vault } from '../../../adapters/backup/vaults/s3';
import { folders } from '../../../sandbox/world';
import { until } from '../../kubernetes/world';

// It would tell whoever reads the tests of newer versions of Node.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] = 'true';

const host = '127.0.0.1';
const region = 'eu-central-1';

export const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = net.createServer().once('error', reject);
    server.listen(0, host, () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });

/** @returns undefined while nobody listens. */
export const accepts = (port: number) =>
  new Promise<true | undefined>((resolve) => {
    const socket = net.connect(port, host, () => resolve(true)).once('error', () => resolve(undefined));
    socket.once('connect', () => socket.destroy());
  });

export class Gateway {
  readonly folder = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-gateway-'));
  readonly environment = { STANDBY_OFFSITE_KEY_ID: 'offsite', STANDBY_OFFSITE_SECRET: 'a-secret-of-this-test' };
  private child: ChildProcess | undefined;
  private endpoint = '';
  private authority: string | undefined;
  port = 0;

  /**
   * @param certificate - files of a certificate for `localhost`; without it, no TLS.
   * @param authority - that signed it (PEM), where this process does not trust it.
   */
  async start(certificate?: { readonly cert: string; readonly key: string }, authority?: string): Promise<void> {
    this.authority = authority;
    const [files, versions] = ['files', 'versions'].map((name) => path.join(this.folder, name)) as [string, string];
    for (const folder of [files, versions]) fs.mkdirSync(folder);
    const port = (this.port = await freePort());
    this.endpoint = certificate ? `https://localhost:${port}` : `http://${host}:${port}`;
    const tls = certificate ? ['--cert', certificate.cert, '--key', certificate.key] : [];
    this.child = spawn(
      path.join(folders.bin, 'versitygw'),
      [
        '--port',
        `${host}:${port}`,
        '--region',
        region,
        '--quiet',
        ...tls,
        'posix',
        '--versioning-dir',
        versions,
        files,
      ],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: {
          ROOT_ACCESS_KEY: this.environment.STANDBY_OFFSITE_KEY_ID,
          ROOT_SECRET_KEY: this.environment.STANDBY_OFFSITE_SECRET,
        },
      },
    );
    await until('the gateway answers', () => accepts(port), 30_000);
  }

  get client(): S3Client {
    const { STANDBY_OFFSITE_KEY_ID: accessKeyId, STANDBY_OFFSITE_SECRET: secretAccessKey } = this.environment;
    return new S3Client({
      ...{ endpoint: this.endpoint, region, forcePathStyle: true, maxAttempts: 1 },
      credentials: { accessKeyId, secretAccessKey },
      ...(this.authority === undefined ? {} : { requestHandler: { httpsAgent: { ca: this.authority } } }),
    });
  }

  async bucket(name: string, locked: boolean): Promise<void> {
    await this.client.send(new CreateBucketCommand({ Bucket: name, ObjectLockEnabledForBucket: locked }));
  }

  place(bucket: string, lock: 'object' | 'bucket' = 'object') {
    return { name: 'offsite', endpoint: this.endpoint, region, bucket, lock };
  }

  vault(bucket: string, lock: 'object' | 'bucket' = 'object') {
    return s3Vault(this.place(bucket, lock), this.environment);
  }

  /** Where an object's bytes lie on the disk. */
  file(bucket: string, object: string): string {
    return path.join(this.folder, 'files', bucket, object);
  }

  async stop(): Promise<void> {
    const { child } = this;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill();
    await once(child, 'exit');
  }

  async remove(): Promise<void> {
    await this.stop();
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

export const call = (limitMs = 60_000) => ({ signal: AbortSignal.timeout(limitMs), progress: () => undefined });

/** @returns the code with which an act is refused, or `done`. */
export const outcome = (act: Promise<unknown>): Promise<string> =>
  act.then(
    () => 'done',
    (cause: { code?: string; name?: string; message?: string }) => cause.code ?? cause.name ?? cause.message ?? '',
  );

export async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

export async function namesIn(list: AsyncIterable<{ readonly name: string }>): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of list) names.push(name);
  return names.sort();
}
