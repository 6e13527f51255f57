/** What a kubeconfig says: where the API server is, and how one proves who one is. */
import { execFile } from 'node:child_process';
import * as https from 'node:https';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { StandbyError } from '../../failover/errors';

export interface Access {
  readonly server: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly agent: https.Agent;
}

interface Exec {
  readonly command: string;
  readonly args?: readonly string[] | null;
  readonly env?: readonly { readonly name: string; readonly value: string }[] | null;
}

interface User {
  readonly token?: string;
  readonly exec?: Exec;
  readonly 'client-certificate-data'?: string;
  readonly 'client-key-data'?: string;
}

type Entry<K extends string, T> = { readonly name: string } & { readonly [key in K]: T };

interface Kubeconfig {
  readonly 'current-context': string;
  readonly contexts: readonly Entry<'context', { readonly cluster: string; readonly user: string }>[];
  readonly clusters: readonly Entry<
    'cluster',
    { readonly server: string; readonly 'certificate-authority-data'?: string }
  >[];
  readonly users: readonly Entry<'user', User>[];
}

const run = promisify(execFile);
const loginMs = 10_000;

/** @throws StandbyError KubeconfigUnusable */
export async function accessOf(text: string, signal: AbortSignal): Promise<Access> {
  const config = parse(text) as Kubeconfig;
  const context = config.contexts.find(({ name }) => name === config['current-context'])?.context;
  const cluster = config.clusters.find(({ name }) => name === context?.cluster)?.cluster;
  const user = config.users.find(({ name }) => name === context?.user)?.user;
  if (!cluster || !user) throw unusable('its current context names no cluster or no user');
  const known = user.exec ? await login(user.exec, signal) : user;
  const decoded = (data: string | undefined) => (data ? Buffer.from(data, 'base64') : undefined);
  const [ca, cert, key] = [
    decoded(cluster['certificate-authority-data']),
    decoded(known['client-certificate-data']),
    decoded(known['client-key-data']),
  ];
  return {
    server: cluster.server,
    headers: known.token ? { authorization: `Bearer ${known.token}` } : {},
    agent: new https.Agent({ keepAlive: true, ...(ca ? { ca } : {}), ...(cert && key ? { cert, key } : {}) }),
  };
}

/** A cluster whose logins are the vendor's directory names a program that logs in. */
async function login({ command, args, env }: Exec, signal: AbortSignal): Promise<User> {
  const more = Object.fromEntries((env ?? []).map(({ name, value }) => [name, value]));
  try {
    const { stdout } = await run(command, [...(args ?? [])], {
      env: { ...process.env, ...more },
      timeout: loginMs,
      signal,
    });
    const { status } = JSON.parse(stdout) as {
      status?: { token?: string; clientCertificateData?: string; clientKeyData?: string };
    };
    const certificate = (data: string | undefined) => Buffer.from(data ?? '').toString('base64');
    return {
      ...(status?.token ? { token: status.token } : {}),
      ...(status?.clientCertificateData
        ? {
            'client-certificate-data': certificate(status.clientCertificateData),
            'client-key-data': certificate(status.clientKeyData),
          }
        : {}),
    };
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    throw unusable(`its login program ${command} failed`, cause);
  }
}

const unusable = (why: string, cause?: unknown) =>
  new StandbyError('KubeconfigUnusable', `the cluster's credentials can't be used: ${why}; try kubectl with them`, {
    cause,
  });
