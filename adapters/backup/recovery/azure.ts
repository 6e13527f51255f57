/**
 * The managed server's own point-in-time restore: Azure makes a new server beside it, in its region, from its backups and its log.
 * What it makes carries its purpose and its end as tags, so that any operator can find and remove it.
 */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { Instant, RecoveryRange } from '../../../backup/model';
import type { Call, Stay, ThrowAwayServer } from '../../../backup/ports';
import { productionServers } from '../../../config/servers';
import { StandbyError } from '../../../failover/errors';
import { within } from '../../../failover/within';
import { apiVersions, cloudOf, type Cloud, type Order } from '../../azure/cloud';
import type { AdapterContext } from '../../context';
import { serverPlace, serverPlaces, serverTarget } from '../../places';
import { untilAdmitted } from '../../postgres/connection';
import {
  hiding,
  pause,
  removeExpired,
  serverExists,
  targetOf,
  throwAwayMs,
  throwAwayName,
  type Recovery,
  type Remains,
} from './recovery';

const purpose = 'restore';
const pollMs = 1_000;
/** Until the new server answers who restores. */
const admittedMs = 120_000;
/** One order; Azure answers it at once and works on. */
const orderMs = 30_000;

const serverSchema = z.object({
  id: z.string(),
  name: z.string(),
  location: z.string(),
  tags: z.record(z.string(), z.string()).nullish(),
  properties: z.object({
    fullyQualifiedDomainName: z.string().optional(),
    backup: z.object({ earliestRestoreDate: z.iso.datetime({ offset: true }).nullish() }).optional(),
  }),
});
type Server = z.infer<typeof serverSchema>;

export interface AzureRecoveryOptions {
  readonly context: AdapterContext;
  /** Server of the plan whose past is wanted. */
  readonly server: string;
  /** For whoever finds what it made. */
  readonly who: string;
}

export class AzureRecovery implements Recovery {
  readonly kind = 'azure';
  private readonly cloud: Cloud;
  /** Of the group's servers: `…/flexibleServers`. */
  private readonly folder: string;

  constructor(private readonly options: AzureRecoveryOptions) {
    const { context, server } = options;
    this.cloud = cloudOf(context);
    this.folder = serverPlace(context, server).id.replace(/\/[^/]+$/, '');
  }

  /** The newest moment is the vendor's now: its log reaches the backups within minutes, and it waits for what is missing. */
  async range({ signal }: Call): Promise<RecoveryRange> {
    const { server } = this.options;
    const order = this.order(server, signal);
    const { body, answer } = await this.cloud.ask(order);
    const earliest = serverSchema.parse(body).properties.backup?.earliestRestoreDate;
    const latest = Date.parse(answer.headers.date ?? '') || Date.now();
    if (earliest) return { earliest: Date.parse(earliest), latest };
    throw new StandbyError('NoBackup', `Azure has no backup of ${server} yet: its first one is made soon after it is`);
  }

  async restore(at: Instant | 'latest', call: Call, stay?: Stay): Promise<ThrowAwayServer> {
    const { context, server } = this.options;
    const addresses = this.operatorAddresses();
    const source = serverSchema.parse((await this.cloud.ask(this.order(server, call.signal))).body);
    const name = stay?.name ?? throwAwayName(context.configuration().company);
    if (await this.find(name, call.signal)) throw serverExists(name);
    // The business's servers keep its password, so that it can be switched to; what is thrown away knows nobody's.
    const password = stay ? serverTarget(context, server).password : `Aa1${randomBytes(24).toString('hex')}`;
    const moment = new Date(at === 'latest' ? (await this.range(call)).latest : at);
    call.progress(`${name} is restored from ${server} to ${moment.toISOString()}`);
    try {
      await this.put(this.order(name, call.signal), {
        location: source.location,
        tags: this.tags(stay, moment),
        properties: {
          createMode: 'PointInTimeRestore',
          sourceServerResourceId: source.id,
          pointInTimeUTC: moment.toISOString(),
          administratorLoginPassword: password,
        },
      });
      await this.admit(name, addresses, call);
      const made = await this.find(name, call.signal);
      const { user, port } = serverTarget(context, server);
      const host = made?.properties.fullyQualifiedDomainName ?? '';
      const restored = { ...{ host, port, user, name }, recoveryPoint: moment.getTime() };
      const hidden = hiding(restored, password, () => this.remove(name, uncut(call)));
      await untilAdmitted(targetOf(hidden, 'postgres'), call.signal, admittedMs);
      return hidden;
    } catch (cause) {
      await this.remove(name, uncut(call)).catch(() => undefined);
      throw cause;
    }
  }

  async remains({ signal }: Call): Promise<readonly Remains[]> {
    const servers = await this.list(signal);
    return servers.flatMap(({ name, tags }) => {
      if (tags?.['standby-purpose'] !== purpose || this.isOfThePlan(name)) return [];
      const expiresAt = Date.parse(tags['standby-expires-at'] ?? '') || 0;
      const { 'standby-who': who = 'somebody', 'standby-source': source = 'unknown' } = tags;
      return [{ name, who, source, expiresAt, stays: tags['standby-stays'] === 'true' }];
    });
  }

  /** @throws StandbyError NotARestore for a server that no restore made, or that the plan works on. */
  async remove(name: string, call: Call): Promise<void> {
    const found = await this.find(name, call.signal);
    if (!found) return;
    if (found.tags?.['standby-purpose'] !== purpose || this.isOfThePlan(name)) {
      throw new StandbyError(
        'NotARestore',
        `server ${name} is none that a restore made, or the plan works on it: it stays`,
        {
          exit: 'person',
        },
      );
    }
    call.progress(`${name} is removed`);
    await this.cloud.ask({ ...this.order(name, call.signal), method: 'DELETE', withinMs: orderMs });
    while (await this.find(name, call.signal)) await pause(pollMs, call.signal);
  }

  /** Somebody switched to it: it is the business's own, whatever its tags say. */
  private isOfThePlan(name: string): boolean {
    return productionServers(this.options.context.configuration()).some((server) => server.name === name);
  }

  private operatorAddresses(): readonly string[] {
    const { context, server } = this.options;
    const { site } = serverPlace(context, server);
    const { operatorAddresses } = context.landscape.sites[site].database;
    if (operatorAddresses.length > 0) return operatorAddresses;
    throw new StandbyError(
      'NoOperatorAddress',
      `nobody could reach a restored server: stack ${site} has no database.operatorAddresses; add this machine's address`,
    );
  }

  private tags(stay: Stay | undefined, moment: Date): Readonly<Record<string, string>> {
    const { server, who } = this.options;
    return {
      'standby-purpose': purpose,
      'standby-expires-at': new Date(stay?.expiresAt ?? Date.now() + throwAwayMs).toISOString(),
      'standby-stays': String(stay !== undefined),
      'standby-source': server,
      'standby-who': who,
      'standby-recovery-point': moment.toISOString(),
    };
  }

  private async admit(name: string, addresses: readonly string[], { signal }: Call): Promise<void> {
    for (const address of addresses) {
      const rule = this.order(`${name}/firewallRules/restore-${address.replaceAll('.', '-')}`, signal);
      await this.put(rule, { properties: { startIpAddress: address, endIpAddress: address } });
    }
  }

  private order(path: string, signal: AbortSignal): Order {
    return { path: `${this.folder}/${path}`, apiVersion: apiVersions.postgresql, signal };
  }

  private async list(signal: AbortSignal): Promise<readonly Server[]> {
    const { body } = await this.cloud.ask({ path: this.folder, apiVersion: apiVersions.postgresql, signal });
    return z.object({ value: z.array(serverSchema) }).parse(body).value;
  }

  /** The list is asked, because a server that is not there is no fault. */
  private async find(name: string, signal: AbortSignal): Promise<Server | undefined> {
    return (await this.list(signal)).find((server) => server.name.toLowerCase() === name.toLowerCase());
  }

  /** Returns when what was ordered is there. @throws StandbyError RestoreFailed */
  private async put(order: Order, body: object): Promise<void> {
    // Asked once: a second attempt would find what the first one has begun.
    const { answer } = await this.cloud.ask({ ...order, method: 'PUT', body, withinMs: orderMs, tries: 1 });
    const address = answer.headers['azure-asyncoperation'] ?? answer.headers['operation-location'];
    if (typeof address !== 'string') return;
    for (;;) {
      // An answer that is missing is no answer: what goes on there goes on.
      const state = await this.cloud.follow(address, order.signal).catch(() => undefined);
      if (state?.['status'] === 'Succeeded') return;
      if (state?.['status'] === 'Failed' || state?.['status'] === 'Canceled') {
        const { code, message } = (state['error'] ?? {}) as { code?: string; message?: string };
        throw new StandbyError('RestoreFailed', `Azure did not make ${last(order.path)}: ${code} ${message}`);
      }
      await pause(pollMs, order.signal);
    }
  }
}

const last = (path: string) => path.split('/').at(-1) ?? path;

/** At every site that a server of the plan is at: what was restored before roles changed lies at the other one. */
export function recoveriesOf(context: AdapterContext, who: string): readonly AzureRecovery[] {
  const oneOfEach = new Map(serverPlaces(context).map(({ site, name }) => [site, name]));
  return [...oneOfEach.values()].map((server) => new AzureRecovery({ context, server, who }));
}

export async function removeExpiredRestores(context: AdapterContext, now: Instant, call: Call): Promise<void> {
  await Promise.all(recoveriesOf(context, 'standby').map((recovery) => removeExpired(recovery, now, call)));
}

/** What was made is removed also where somebody stopped what goes on. */
const uncut = (call: Call): Call => ({ ...call, signal: within(15 * 60_000) });
