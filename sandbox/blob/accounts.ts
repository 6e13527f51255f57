/**
 * The accounts: the world's own (state of the engine, by environment) and those of the ARM service. A change there is carried
 * over before the next request is served: keys, new containers, containers and accounts that are gone.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { storageState, type StorageContainer, type StorageState } from '../azure/storage';
import { regionOf, sites, folders, type Site } from '../world';
import type { Azurite } from './azurite';
import { blobPath, must } from './backend';
import { hiddenContainer } from './hidden';

export interface Account {
  readonly name: string;
  /** ARM id; undefined for the world's own. */
  readonly id: string | undefined;
  /** base64 */
  readonly keys: readonly [string, ...string[]];
  readonly allowSharedKeyAccess: boolean;
  readonly versioning: boolean;
  /** Days for which each version stays, whoever may delete. */
  readonly versionDays?: number | undefined;
  /** Site whose region holds the account. */
  readonly site: Site | undefined;
  readonly containers: Readonly<Record<string, StorageContainer>>;
}

interface Applied {
  readonly keys: readonly [string, ...string[]];
  readonly containers: readonly string[];
}

const appliedFile = path.join(folders.blob, 'applied.json');
const worldAccounts = [
  { name: 'standbystate', variable: 'STANDBY_STATE_KEY', container: 'state' },
  { name: 'standbyjournal', variable: 'STANDBY_JOURNAL_KEY', container: 'journal' },
] as const;

function ownAccounts(): Account[] {
  return worldAccounts.flatMap(({ name, variable, container }) => {
    const key = process.env[variable];
    if (!key) return [];
    const held: StorageContainer = { id: container, publicAccess: 'None', immutability: null, legalHold: false };
    const rest = { id: undefined, site: undefined, allowSharedKeyAccess: true, versioning: false };
    return [{ name, keys: [key], containers: { [container]: held }, ...rest }];
  });
}

const siteOf = (location: string) =>
  sites.find((site) => regionOf[site] === location.toLowerCase().replaceAll(' ', ''));

function armAccounts(state: StorageState): Account[] {
  return Object.entries(state.accounts).flatMap(([name, account]) => {
    const [first, ...others] = account.keys.map(({ value }) => value);
    if (first === undefined) return [];
    const { id, allowSharedKeyAccess, versioning, versionDays, containers } = account;
    return [
      {
        name,
        id,
        keys: [first, ...others],
        allowSharedKeyAccess,
        versioning,
        versionDays,
        containers,
        site: siteOf(account.location),
      },
    ];
  });
}

export class Accounts {
  private byName = new Map<string, Account>();
  private seen: StorageState | undefined;
  private applied: Record<string, Applied>;
  private applying: Promise<void> = Promise.resolve();

  /** @param forget is told of containers that are gone, as `account/container/` */
  constructor(
    private readonly azurite: Azurite,
    private readonly forget: (prefix: string) => void,
  ) {
    this.applied = fs.existsSync(appliedFile)
      ? (JSON.parse(fs.readFileSync(appliedFile, 'utf8')) as Record<string, Applied>)
      : {};
  }

  async find(name: string): Promise<Account | undefined> {
    await this.refresh();
    return this.byName.get(name);
  }

  /** Carries over what has changed since the last call; callers wait for each other. */
  refresh(): Promise<void> {
    const state = storageState();
    if (state === this.seen) return this.applying;
    this.seen = state;
    this.applying = this.applying.catch(() => undefined).then(() => this.apply(state));
    // A change that could not be carried over is tried again with the next request.
    this.applying.catch(() => (this.seen = undefined));
    return this.applying;
  }

  private async apply(state: StorageState): Promise<void> {
    const accounts = new Map([...ownAccounts(), ...armAccounts(state)].map((account) => [account.name, account]));
    const gone = Object.entries(this.applied).filter(([name]) => !accounts.has(name));
    const held = [
      ...[...accounts.values()].map(({ name, keys }) => [name, keys] as const),
      ...gone.map(([name, { keys }]) => [name, keys] as const),
    ];
    await this.azurite.setAccounts(Object.fromEntries(held));
    for (const [name, { keys, containers }] of gone) await this.removeContainers(name, keys[0], containers);
    for (const account of accounts.values()) await this.applyContainers(account);
    if (gone.length > 0)
      await this.azurite.setAccounts(Object.fromEntries([...accounts.values()].map(({ name, keys }) => [name, keys])));
    await this.azurite.save();
    const entries = [...accounts.values()].map(
      ({ name, keys, containers }) => [name, { keys, containers: Object.keys(containers) }] as const,
    );
    this.applied = Object.fromEntries(entries);
    fs.writeFileSync(appliedFile + '.new', JSON.stringify(this.applied), { mode: 0o600 });
    fs.renameSync(appliedFile + '.new', appliedFile);
    this.byName = accounts;
  }

  private async applyContainers({ name, keys, containers }: Account): Promise<void> {
    const earlier = new Set(this.applied[name]?.containers);
    for (const container of Object.keys(containers)) {
      if (earlier.has(container)) continue;
      const query = new URLSearchParams({ restype: 'container' });
      await must({ method: 'PUT', account: name, path: blobPath(container), query }, keys[0], [409]);
    }
    const gone = [...earlier].filter((container) => !(container in containers));
    await this.removeContainers(name, keys[0], gone);
  }

  private async removeContainers(account: string, key: string, containers: readonly string[]): Promise<void> {
    const query = new URLSearchParams({ restype: 'container' });
    for (const container of containers) {
      for (const name of [container, hiddenContainer(container)]) {
        await must({ method: 'DELETE', account, path: blobPath(name), query }, key, [404]);
      }
      this.forget(`${account}/${container}/`);
    }
  }
}
