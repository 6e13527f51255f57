/** What an agent is told: variables of its pod. */
import { sites, type Site } from '../config/fields';
import type { AdmissionTarget } from '../adapters/postgres/admission';
import type { Peer } from '../adapters/store/talk';
import type { Post } from '../failover/lease';

export interface Settings {
  readonly post: Post;
  readonly company: string;
  readonly namespace: string;
  /** Name of the pod. */
  readonly name: string;
  readonly port: number;
  readonly store: { readonly endpoint: string; readonly container: string };
  readonly server: AdmissionTarget;
  readonly key: string;
  /** The agents of this site, as they are reached from outside. */
  readonly own: Peer;
  readonly other: Peer;
  readonly deployments: readonly string[];
  readonly replicas: number;
  readonly kubernetes: KubernetesSettings;
}

export interface KubernetesSettings {
  readonly host: string;
  readonly port: number;
  readonly tokenFile: string;
  readonly authorityFile: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws Error that names the variable and what is allowed. */
export function readSettings(environment: Environment): Settings {
  const word = (name: string): string => {
    const value = environment[name];
    if (!value) throw new Error(`variable ${name} is not set: the component Agent gives it to each of its pods`);
    return value;
  };
  const whole = (name: string): number => {
    const value = Number(word(name));
    if (!Number.isInteger(value) || value < 0) throw new Error(`variable ${name} is not a whole number`);
    return value;
  };
  const choice = <T extends string>(name: string, allowed: readonly T[]): T => {
    const value = allowed.find((one) => one === word(name));
    if (value === undefined) throw new Error(`variable ${name} is "${word(name)}"; allowed: ${allowed.join(', ')}`);
    return value;
  };
  const company = word('COMPANY');
  return {
    post: {
      site: choice<Site>('SITE', sites),
      active: choice('ACTIVE', ['true', 'false']) === 'true',
      epoch: whole('EPOCH'),
      mode: choice('WRITER_LEASE', ['on', 'off']),
    },
    company,
    namespace: word('NAMESPACE'),
    name: word('POD_NAME'),
    port: whole('PORT'),
    store: { endpoint: word('STORE_ENDPOINT'), container: word('STORE_CONTAINER') },
    server: {
      company,
      host: word('PGHOST'),
      port: whole('PGPORT'),
      database: word('PGDATABASE'),
      identityDatabase: word('IDENTITY_DATABASE'),
      user: word('PGUSER'),
      password: word('PGPASSWORD'),
    },
    key: word('AGENT_KEY'),
    own: { host: word('HOST'), address: word('ADDRESS') },
    other: { host: word('OTHER_HOST'), address: word('OTHER_ADDRESS') },
    deployments: word('DEPLOYMENTS').split(','),
    replicas: whole('REPLICAS'),
    kubernetes: {
      host: word('KUBERNETES_SERVICE_HOST'),
      port: whole('KUBERNETES_SERVICE_PORT'),
      tokenFile: word('KUBERNETES_TOKEN_FILE'),
      authorityFile: word('KUBERNETES_CA_FILE'),
    },
  };
}
