/**
 * Two sites, their servers, the lease, the names and what Pulumi believes, in memory. It knows nothing of plans: it does what it is
 * told, as the real parts would, and writes down each instant at which something is so that must never be so.
 */
import type { Recovery, Switch } from '../../config/failover';
import { otherSite, sites, type Site } from '../../config/fields';
import { lostCluster, lostSite, preparation, productionServers, type ServerPlan } from '../../config/servers';
import { StandbyError } from '../../failover/errors';
import { VirtualClock } from './clock';
import { now as begin } from './observations';

export interface Server {
  readonly name: string;
  readonly site: Site;
  role: 'primary' | 'replica';
  source?: string;
  position: number;
  token: { epoch: number; open: boolean };
  /** Epochs whose applications may write. */
  epochs: number[];
  readOnly: boolean;
  closedToIdentity: boolean;
  /** Of a server that an import fills: nobody may work on it before it is whole. */
  filled?: 'empty' | 'half' | 'whole';
}

interface Work {
  readonly epoch: number;
  readonly server: string;
}

/** `agents` seconds: docs/decisions/0007-writer-lease.md. */
export const fencedAfterMs = 7_000;
export const takenAfterMs = 10_000;

export class World {
  readonly clock = new VirtualClock(begin, () => this.tick());
  readonly servers = new Map<string, Server>();
  readonly running: Record<Site, Work | undefined> = { prod: undefined, intg: undefined };
  readonly violations: string[] = [];
  /** What the engine gets to. */
  readonly reach = { prod: { cluster: true, servers: true }, intg: { cluster: true, servers: true } };
  lease: { mode: 'on' | 'off'; holder: Site; epoch: number; released: boolean; renewedAt: number };
  names: { public: Site; internal: Site; server: string };
  file: Switch;
  applied: Switch;
  private believed: Record<Site, Work | undefined> = { prod: undefined, intg: undefined };
  serial = 7;
  locked = false;
  journal = new Map<string, string>();
  announcements = 0;
  /** What could be restored: Azure's own backups, and kept ones that were verified. */
  backups = { azure: true, kept: false };
  exported: string[] = [];
  holder: { readonly isDead: () => boolean } | undefined;
  private cutOffAt: Partial<Record<Site, number>> = {};

  constructor(values: Switch, mode: 'on' | 'off' = 'on') {
    this.file = this.applied = values;
    const { activeSite, epoch } = values;
    this.lease = { mode, holder: activeSite, epoch, released: false, renewedAt: begin };
    for (const server of productionServers(values)) this.servers.set(server.name, this.make(server, values));
    const current = this.inUse(values);
    this.names = { public: activeSite, internal: activeSite, server: current.name };
    for (const site of sites) this.believed[site] = this.running[site] = this.work(site, values);
  }

  private make({ name, site, database, streaming, recovery }: ServerPlan, { epoch }: Switch): Server {
    const open = database || streaming;
    return {
      ...{ name, site, position: 1_000, readOnly: !open, closedToIdentity: !open },
      role: streaming ? 'replica' : 'primary',
      ...(streaming && recovery ? { source: recovery.from } : {}),
      token: { epoch: open ? epoch : (recovery?.epoch ?? 1), open },
      epochs: open ? [epoch] : [],
    };
  }

  inUse = (values: Switch): ServerPlan => productionServers(values).find(({ database }) => database)!;
  server(name: string): Server {
    const server = this.servers.get(name);
    if (!server) throw new Error(`there is no server ${name}`);
    return server;
  }

  /** What Pulumi wants a site to run. */
  private work(site: Site, values: Switch): Work | undefined {
    if (values.activeSite === site) {
      return values.stage === 'made' ? undefined : { epoch: values.epoch, server: this.inUse(values).name };
    }
    const next = preparation(values);
    return next?.site === site ? { epoch: next.epoch, server: next.server.name } : undefined;
  }

  canWrite = ({ role, readOnly, token, epochs }: Server): boolean =>
    role === 'primary' && !readOnly && token.open && epochs.length > 0;
  serves(site: Site): boolean {
    const work = this.running[site];
    const server = work && this.servers.get(work.server);
    return !!server && this.canWrite(server) && server.epochs.includes(work.epoch) && !server.closedToIdentity;
  }

  /** A site is cut off from everything but its users; it goes on until its agents give up. */
  cutOff(site: Site): void {
    this.reach[site] = { cluster: false, servers: false };
    this.cutOffAt[site] = this.clock.now();
  }

  loseCluster(site: Site): void {
    this.reach[site].cluster = false;
    this.running[site] = undefined;
    this.lease.renewedAt = this.clock.now();
  }

  /** It can be reached again. Its agents open it again only where nobody took the lease. */
  heal(site: Site): void {
    this.reach[site] = { cluster: true, servers: true };
    delete this.cutOffAt[site];
    const { mode, holder, released, epoch } = this.lease;
    if (this.applied.activeSite !== site || (mode === 'on' && (holder !== site || released))) return;
    const server = this.server(this.inUse(this.applied).name);
    if (server.token.epoch > epoch) return;
    // Who was fenced by the engine stays so: agents take back their own fences only.
    if (!this.fencedByEngine.has(server.name)) this.admit(server, this.applied.epoch);
    this.running[site] = this.believed[site];
  }
  private readonly fencedByEngine = new Set<string>();

  fence(server: Server, epoch: number, whole: boolean): void {
    this.fencedByEngine.add(server.name);
    this.close(server, epoch, whole);
  }
  private close(server: Server, epoch: number, whole: boolean): void {
    server.epochs = server.epochs.filter((one) => one > epoch);
    if (server.token.epoch <= epoch) server.token = { ...server.token, open: false };
    if (whole) server.closedToIdentity = true;
  }
  /** @param whole - false where the process dies in the middle. */
  fill(server: Server, whole: boolean): void {
    if (server.filled === undefined) this.violations.push(`${server.name} is imported over`);
    if (this.canWrite(server) || server.token.open) this.violations.push(`${server.name} is filled while it is open`);
    server.filled = whole ? 'whole' : 'half';
  }
  admit(server: Server, epoch: number): void {
    if ((server.filled ?? 'whole') !== 'whole') this.violations.push(`${server.name} is opened and not whole`);
    this.fencedByEngine.delete(server.name);
    server.epochs = [epoch];
    server.token = { epoch, open: true };
    server.closedToIdentity = false;
  }

  promote(server: Server, how: 'planned' | 'forced'): void {
    const source = server.source ? this.servers.get(server.source) : undefined;
    if (server.role === 'primary') return;
    if (how === 'planned' && source && this.cutOffAt[source.site] !== undefined) {
      throw new StandbyError('PromotionFailed', `${source.name} can't be reached`, { retryable: true });
    }
    if (how === 'planned' && source && source.position > server.position) {
      this.violations.push(`${server.name} was promoted without rows of ${source.name}`);
    }
    server.role = 'primary';
    delete server.source;
    this.check(`promote ${server.name}`);
  }

  /** The agents of a site let go of the lease: they close the site first. */
  stopSite(site: Site, epoch: number): void {
    this.running[site] = undefined;
    for (const server of this.servers.values()) {
      // From outside nobody gets to what is cut off.
      if (server.site !== site && this.cutOffAt[server.site] !== undefined) continue;
      if (server.role === 'primary' && server.epochs.some((one) => one <= epoch)) this.close(server, epoch, false);
    }
  }

  private tick(): void {
    for (const site of sites) {
      const at = this.cutOffAt[site];
      if (at === undefined || this.lease.mode === 'off' || this.clock.now() - at < fencedAfterMs) continue;
      if (this.lease.holder === site) this.stopSite(site, this.lease.epoch);
    }
    this.live();
    this.check('as time passed');
  }

  /** Users write where they can; replicas follow what reaches them. */
  live(): void {
    for (const server of this.servers.values()) if (this.canWrite(server)) server.position += 1;
    for (const server of this.servers.values()) {
      const source = server.source ? this.servers.get(server.source) : undefined;
      if (source && server.role === 'replica' && this.cutOffAt[source.site] === undefined) {
        Object.assign(server, { position: source.position, token: source.token, epochs: source.epochs });
        server.closedToIdentity = source.closedToIdentity;
      }
    }
  }

  check(when: string): void {
    const open = [...this.servers.values()].filter(this.canWrite).map(({ name }) => name);
    if (open.length > 1) this.violations.push(`${when}: ${open.join(' and ')} take writes`);
    const working = sites.filter((site) => this.serves(site));
    if (working.length > 1) this.violations.push(`${when}: both sites write`);
  }

  /** Names lead only to a site that serves. */
  lead(to: Site, what: 'public' | 'internal', server?: string): void {
    if (this.names[what] === to && (server === undefined || this.names.server === server)) return;
    if (!this.serves(to)) this.violations.push(`${what} names lead to ${to}, which does not serve`);
    this.names = { ...this.names, [what]: to, ...(server ? { server } : {}) };
  }

  /** `pulumi up`: changes what it believes different. @returns how much that was. */
  apply(values: Switch): number {
    let changed = 0;
    const lost = { site: lostSite(values), cluster: lostCluster(values) };
    for (const site of sites) {
      if (!this.reach[site].cluster && lost.cluster !== site)
        throw new StandbyError('PulumiFailed', `pulumi hangs on the cluster of ${site}`);
    }
    const names = new Set(productionServers(values).map(({ name }) => name));
    for (const name of this.servers.keys()) if (!names.has(name)) this.violations.push(`${name} is deleted`);
    for (const server of productionServers(values)) changed += this.place(server, values, lost.site);
    this.agents(values);
    for (const site of [otherSite(values.activeSite), values.activeSite]) {
      if (lost.cluster === site) continue;
      const work = this.work(site, values);
      if (JSON.stringify(work) === JSON.stringify(this.believed[site])) continue;
      this.believed[site] = this.running[site] = work;
      changed += 1;
    }
    if (values.stage === 'complete') {
      const { name } = this.inUse(values);
      if (this.names.public !== values.activeSite || this.names.server !== name) changed += 1;
      this.lead(values.activeSite, 'internal', name);
      this.lead(values.activeSite, 'public');
    }
    this.applied = values;
    this.serial += changed > 0 ? 1 : 0;
    this.check('pulumi up');
    return changed;
  }

  private place(plan: ServerPlan, values: Switch, lost: Site | undefined): number {
    const known = this.servers.get(plan.name);
    if (!known) {
      this.servers.set(plan.name, this.recover(plan, plan.recovery!));
      return 1;
    }
    if (lost === plan.site) return 0;
    if (plan.recovery?.promoted && known.role === 'replica') {
      this.violations.push(`pulumi had to promote ${plan.name}`);
      this.promote(known, 'planned');
    }
    const readOnly = !plan.streaming && !(plan.database && values.stage !== 'made');
    const changed = known.readOnly === readOnly ? 0 : 1;
    known.readOnly = readOnly;
    return changed;
  }

  private recover({ name, site }: ServerPlan, { method, from }: Recovery): Server {
    const source = this.server(from);
    const copy = { ...source, name, site, token: { ...source.token }, epochs: [...source.epochs] };
    delete copy.source;
    if (method === 'import') {
      const token = { epoch: 0, open: false };
      return { ...copy, role: 'primary', readOnly: true, filled: 'empty', token, epochs: [], closedToIdentity: true };
    }
    return method === 'replica'
      ? { ...copy, role: 'replica', source: from, readOnly: false }
      : { ...copy, role: 'primary', readOnly: true, position: source.position - 50 };
  }

  /** Agents know from the program which site is active: the others close, the active one opens once it has the lease. */
  private agents(values: Switch): void {
    if (values.stage === 'made') return;
    const { activeSite, epoch } = values;
    const current = this.server(this.inUse(values).name);
    if (this.lease.mode === 'off') this.lease = { ...this.lease, holder: activeSite, epoch };
    if (this.lease.epoch < epoch) {
      for (const site of sites) if (this.reach[site].cluster) this.stopSite(site, epoch - 1);
      this.lease = { ...this.lease, holder: activeSite, epoch, released: false, renewedAt: this.clock.now() };
    }
    if (this.lease.holder === activeSite && current.token.epoch < epoch && current.role === 'primary') {
      this.admit(current, epoch);
    }
  }

  start(site: Site): void {
    this.running[site] = this.believed[site];
  }

  /** What an end state is made of; no times, no positions. */
  snapshot() {
    const servers = [...this.servers.values()].map(({ position: _position, ...rest }) => rest);
    const { renewedAt: _renewedAt, ...lease } = this.lease;
    const { file, applied, running, names, locked } = this;
    return JSON.parse(JSON.stringify({ servers, lease, file, applied, running, names, locked })) as object;
  }
}
