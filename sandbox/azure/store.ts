/** The resources, their secrets and their addresses on disk: one file each, replaced atomically, so a kill loses nothing answered. */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { plan, type Site } from '../world';
import { ArmError, type AddressPool, type ArmResource, type Secrets } from './kind';

/** How many addresses the map of the world has room for. */
const poolSizes: Readonly<Record<AddressPool, number>> = { database: 30, containerApp: 40, publicIp: 10 };

interface Allocation {
  readonly key: string;
  readonly site: Site;
  readonly pool: AddressPool;
  readonly index: number;
}

export function writeAtomically(file: string, content: unknown, mode = 0o644): void {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file + '.new', JSON.stringify(content), { mode });
  fs.renameSync(file + '.new', file);
}

export function readJson<T>(file: string): T | undefined {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8')) as T;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
}

export class Store {
  private readonly resources = new Map<string, ArmResource>();
  private allocations: Allocation[];
  private readonly listeners: ((type: string) => void)[] = [];

  /** @param folder made when missing; what an earlier run left there is read. */
  constructor(private readonly folder: string) {
    fs.mkdirSync(path.join(folder, 'resources'), { recursive: true });
    fs.mkdirSync(path.join(folder, 'secrets'), { recursive: true, mode: 0o700 });
    for (const file of fs.readdirSync(path.join(folder, 'resources')).filter((name) => name.endsWith('.json'))) {
      const resource = readJson<ArmResource>(path.join(folder, 'resources', file)) as ArmResource;
      this.resources.set(resource.id.toLowerCase(), resource);
    }
    this.allocations = readJson<Allocation[]>(this.allocationFile) ?? [];
  }

  private get allocationFile(): string {
    return path.join(this.folder, 'addresses.json');
  }

  private file(kind: 'resources' | 'secrets', key: string): string {
    return path.join(this.folder, kind, createHash('sha256').update(key).digest('hex').slice(0, 32) + '.json');
  }

  /** Calls `listener` with the type of each resource that is stored or removed. */
  onChange(listener: (type: string) => void): void {
    this.listeners.push(listener);
  }

  private changed(type: string): void {
    for (const listener of this.listeners) listener(type);
  }

  get(id: string): ArmResource | undefined {
    const resource = this.resources.get(id.toLowerCase().replace(/\/+$/, ''));
    return resource && structuredClone(resource);
  }

  /** Stored resources in the order of their ids; `type` and `under` (an id) narrow them. */
  list(type?: string, under?: string): ArmResource[] {
    const prefix = under === undefined ? '' : under.toLowerCase().replace(/\/+$/, '') + '/';
    return [...this.resources]
      .filter(
        ([key, resource]) => key.startsWith(prefix) && (!type || resource.type.toLowerCase() === type.toLowerCase()),
      )
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([, resource]) => structuredClone(resource));
  }

  put(resource: ArmResource): void {
    const key = resource.id.toLowerCase();
    const stored = structuredClone(resource);
    writeAtomically(this.file('resources', key), stored);
    this.resources.set(key, stored);
    this.changed(resource.type);
  }

  remove(resource: ArmResource): void {
    this.resources.delete(resource.id.toLowerCase());
    this.forget(resource.id);
    this.changed(resource.type);
  }

  /** Gives back what belongs to an id, whether or not the resource ever came to be. */
  forget(id: string): void {
    const key = id.toLowerCase();
    for (const kind of ['resources', 'secrets'] as const) fs.rmSync(this.file(kind, key), { force: true });
    if (this.allocations.some((allocation) => allocation.key === key)) {
      this.allocations = this.allocations.filter((allocation) => allocation.key !== key);
      writeAtomically(this.allocationFile, this.allocations);
    }
  }

  secrets(id: string): Secrets {
    const file = this.file('secrets', id.toLowerCase());
    const read = () => readJson<Record<string, string>>(file) ?? {};
    return {
      get: (name) => read()[name],
      set: (name, value) => writeAtomically(file, { ...read(), [name]: value }, 0o600),
    };
  }

  /** @returns the address of a resource: the same one until it is removed. @throws ArmError 409 when the pool is empty */
  address(id: string, site: Site, pool: AddressPool): string {
    const key = id.toLowerCase();
    const known = this.allocations.find((one) => one.key === key && one.pool === pool);
    const index = known?.index ?? this.allocate(key, site, pool);
    return plan[site][pool](index);
  }

  private allocate(key: string, site: Site, pool: AddressPool): number {
    const taken = new Set(
      this.allocations.filter((one) => one.site === site && one.pool === pool).map((one) => one.index),
    );
    const index = Array.from({ length: poolSizes[pool] }, (_, at) => at).find((at) => !taken.has(at));
    if (index === undefined) {
      const limit = `${poolSizes[pool]} ${pool} addresses in ${plan[site].region}`;
      throw new ArmError(
        409,
        'QuotaExceeded',
        `Operation could not be completed as it results in exceeding the limit of ${limit}.`,
      );
    }
    this.allocations = [...this.allocations, { key, site, pool, index }];
    writeAtomically(this.allocationFile, this.allocations);
    return index;
  }
}
