/** What PUT, PATCH, GET, DELETE, POST and lists do with a resource of any kind. */
import { randomUUID } from 'node:crypto';
import { notFound, type ContextFactory } from './context';
import { parseId, type ResourceId } from './id';
import { ArmError, type ArmContent, type ArmResource, type Context, type Json, type Kind } from './kind';
import { checkModel, writablePart } from './model';
import type { Operations, Outcome, Work } from './operations';
import { findKind } from './registry';
import { applyRules, keepSecrets, merge, placeOf, takeSecrets } from './rules';
import type { Store } from './store';

export interface Conditions {
  readonly ifMatch: string | undefined;
  readonly ifNoneMatch: string | undefined;
}

export interface Written {
  readonly resource: ArmResource;
  readonly created: boolean;
}

function holding({ holds }: Kind, { id, parent }: ResourceId): Pick<Work, 'holds'> {
  const held = holds === 'parent' ? parent : id;
  return holds && held ? { holds: held } : {};
}

const groupType = 'Microsoft.Resources/resourceGroups';

export class Engine {
  constructor(
    private readonly store: Store,
    private readonly operations: Operations,
    private readonly context: ContextFactory,
  ) {}

  /** @throws ArmError 404 when the group, the parent or what an extension is attached to is missing */
  private needAround(id: ResourceId): void {
    if (id.type.toLowerCase() === groupType.toLowerCase()) return;
    const group = `/subscriptions/${id.subscription}/resourceGroups/${id.resourceGroup}`;
    if (id.resourceGroup && !this.store.get(group)) throw notFound(parseId(group) as ResourceId);
    const scope = parseId(id.scope);
    if (scope && !this.exists(id.scope)) throw notFound(scope);
    if (id.parent && !this.exists(id.parent)) {
      const parent = parseId(id.parent) as ResourceId;
      throw new ArmError(
        404,
        'ParentResourceNotFound',
        `Failed to perform 'write' on resource(s) of type '${id.type}', because the parent resource '${parent.id}' could not be found.`,
      );
    }
  }

  /** A default that the vendor makes by itself (`blobServices/default`) exists wherever its own parent does. */
  private exists(id: string): boolean {
    if (this.store.get(id)) return true;
    const parsed = parseId(id);
    const live = parsed && findKind(parsed.type)?.find !== undefined;
    return live === true && parsed.parent !== undefined && this.exists(parsed.parent);
  }

  private async found(kind: Kind, id: ResourceId): Promise<ArmResource | undefined> {
    return this.store.get(id.id) ?? (await kind.find?.(this.context(id), id.name));
  }

  private async need(kind: Kind, id: ResourceId): Promise<ArmResource> {
    this.needAround(id);
    const resource = await this.found(kind, id);
    if (!resource) throw notFound(id);
    return resource;
  }

  async shown(kind: Kind, resource: ArmResource): Promise<ArmResource> {
    const id = parseId(resource.id) as ResourceId;
    return kind.read ? kind.read(this.context(id), resource) : resource;
  }

  async get(kind: Kind, id: ResourceId): Promise<ArmResource> {
    const busy = this.operations.underWay(id.id);
    if (busy?.method === 'PUT' && !this.store.get(id.id)) return this.pending(kind, id, busy.body ?? {});
    return this.shown(kind, await this.need(kind, id));
  }

  /** What a GET shows of a resource that is still being made. */
  pending(kind: Kind, id: ResourceId, body: Json): ArmResource {
    const properties = { ...(body['properties'] as Json | undefined), provisioningState: 'Creating' };
    return { id: id.id, name: id.name, type: kind.type, ...body, properties };
  }

  /** @throws ArmError 400, 404, 405, 409, 412 */
  async put(
    kind: Kind,
    id: ResourceId,
    body: Json,
    conditions: Conditions,
  ): Promise<Outcome<Written> & { body: Json }> {
    this.refuse(kind, 'PUT');
    this.checkName(kind, id);
    this.needAround(id);
    const asked = kind.model ? checkModel(kind.model, body) : structuredClone(body);
    return this.write(kind, id, asked, conditions);
  }

  /** @throws ArmError as `put`, and 404 when there is nothing to change */
  async patch(
    kind: Kind,
    id: ResourceId,
    body: Json,
    conditions: Conditions,
  ): Promise<Outcome<Written> & { body: Json }> {
    if (!kind.patchModel) throw notAllowed('PATCH', kind);
    this.refuse(kind, 'PUT');
    const stored = await this.need(kind, id);
    checkModel(kind.patchModel, body);
    const before = kind.model ? writablePart(kind.model, stored) : stored;
    return this.write(kind, id, merge(before, body), conditions);
  }

  private async write(kind: Kind, id: ResourceId, asked: Json, conditions: Conditions) {
    for (const name of ['id', 'name', 'type', 'etag']) delete asked[name];
    asked['properties'] ??= {};
    const previous = await this.found(kind, id);
    placeOf(kind, asked, previous);
    const taken = takeSecrets(kind, asked);
    applyRules(kind, asked, previous);
    const work: Work = { method: 'PUT', id: previous?.id ?? id.id, body: asked, ...holding(kind, id) };
    const outcome = await this.operations.run(work, async () => {
      this.check(kind, 'PUT', await this.found(kind, id), conditions);
      const secrets = this.store.secrets(id.id);
      const before = new Map([...taken.keys()].map((path) => [path, secrets.get(path)] as const));
      keepSecrets(secrets, taken);
      try {
        return await this.carryOutPut(work);
      } catch (cause) {
        for (const [path, value] of before) if (value !== undefined) secrets.set(path, value);
        throw cause;
      }
    });
    return { ...outcome, body: asked };
  }

  private async carryOutPut(work: Work): Promise<Written> {
    const id = parseId(work.id) as ResourceId;
    const kind = findKind(id.type) as Kind;
    const body = work.body as ArmContent;
    const stored = this.store.get(id.id);
    try {
      const context = this.context(id, body['location'] as string | undefined);
      const previous = stored ?? (await kind.find?.(context, id.name));
      const content = kind.put
        ? await kind.put(context, structuredClone(body), previous)
        : { ...body, properties: { ...body.properties, provisioningState: 'Succeeded' } };
      this.needAround(id); // its group may have been deleted meanwhile
      const etag = kind.etag ? { etag: `"${randomUUID()}"` } : {};
      const resource: ArmResource = { ...content, id: id.id, name: id.name, type: kind.type, ...etag };
      this.store.put(resource);
      return { resource: await this.shown(kind, resource), created: !stored };
    } catch (cause) {
      if (!stored) this.store.forget(id.id);
      throw cause;
    }
  }

  /** @returns done: false when there was nothing to delete */
  async remove(kind: Kind, id: ResourceId, conditions: Conditions): Promise<Outcome<boolean>> {
    this.refuse(kind, 'DELETE');
    const stored = this.store.get(id.id);
    if (!stored) {
      if (kind.type === groupType) throw notFound(id);
      return { done: false };
    }
    const users = kind.inUseBy?.(this.context(id), stored) ?? [];
    if (users.length > 0) {
      const message = `'${stored.id}' cannot be deleted because it is in use by: ${users.join(', ')}.`;
      throw new ArmError(409, 'CannotDeleteResource', message);
    }
    const work: Work = { method: 'DELETE', id: stored.id, ...holding(kind, id) };
    return this.operations.run(work, async () => {
      this.check(kind, 'DELETE', this.store.get(id.id), conditions);
      return this.carryOutRemove(work);
    });
  }

  private async carryOutRemove(work: Work): Promise<boolean> {
    const depth = (resource: ArmResource) => resource.id.split('/').length;
    const below = this.store.list(undefined, work.id).sort((one, other) => depth(other) - depth(one));
    const own = this.store.get(work.id);
    for (const resource of own ? [...below, own] : below) {
      const id = parseId(resource.id) as ResourceId;
      await findKind(id.type)?.remove?.(this.context(id), resource);
      this.store.remove(resource);
    }
    return own !== undefined;
  }

  async act(kind: Kind, id: ResourceId, name: string, body: Json, conditions: Conditions): Promise<Outcome<unknown>> {
    const action = Object.entries(kind.actions ?? {}).find(([each]) => each.toLowerCase() === name.toLowerCase());
    if (!action) throw notAllowed(`POST ${name}`, kind);
    const resource = await this.need(kind, id);
    const work: Work = { method: 'POST', id: resource.id, action: action[0], ...holding(kind, id) };
    return this.operations.run(work, async () => {
      const now = await this.need(kind, id);
      this.check(kind, action[0], now, conditions);
      return action[1](this.context(parseId(now.id) as ResourceId), now, body);
    });
  }

  async list(kind: Kind, under: string, parentId: string | undefined, query: URLSearchParams): Promise<ArmResource[]> {
    const stored = kind.inList
      ? this.store.list(kind.type).filter((resource) => kind.inList?.(resource, under, query))
      : this.store.list(kind.type, under);
    const parent = parentId === undefined ? undefined : parseId(parentId);
    const live = kind.listAt?.(under, query) ?? (parent && kind.list ? await this.listLive(kind, parent) : []);
    const known = new Set(stored.map((resource) => resource.id.toLowerCase()));
    const all = [...stored, ...live.filter((resource) => !known.has(resource.id.toLowerCase()))];
    return Promise.all(all.map((resource) => this.shown(kind, resource)));
  }

  private async listLive(kind: Kind, parent: ResourceId): Promise<readonly ArmResource[]> {
    const resource = await this.need(findKind(parent.type) as Kind, parent);
    return kind.list ? kind.list(this.context(parent), resource) : [];
  }

  /** @throws ArmError 404 when what a list is asked of does not exist */
  async needForList(under: string, parentId: string | undefined): Promise<void> {
    const parent = parseId(parentId ?? under);
    const kind = parent && findKind(parent.type);
    if (parent && kind) await this.need(kind, parent);
  }

  /** After a start: brings back what stands behind the stored resources, then takes up interrupted operations. */
  async start(log: (line: string) => void): Promise<void> {
    await Promise.all(
      this.store.list().map(async (resource) => {
        const id = parseId(resource.id) as ResourceId;
        try {
          await findKind(id.type)?.onStart?.(this.context(id), resource);
        } catch (cause) {
          log(`${resource.id} did not come back: ${(cause as Error).message}`);
        }
      }),
    );
    this.operations.resume((work) => (work.method === 'PUT' ? this.carryOutPut(work) : this.carryOutRemove(work)));
  }

  async stop(log: (line: string) => void): Promise<void> {
    await Promise.all(
      this.store.list().map(async (resource) => {
        const id = parseId(resource.id) as ResourceId;
        try {
          await findKind(id.type)?.onStop?.(this.context(id), resource);
        } catch (cause) {
          log(`${resource.id} did not stop: ${(cause as Error).message}`);
        }
      }),
    );
  }

  contextOf(resource: ArmResource): Context {
    return this.context(parseId(resource.id) as ResourceId);
  }

  private refuse(kind: Kind, method: 'PUT' | 'DELETE'): void {
    if (kind.refused?.includes(method)) throw notAllowed(method, kind);
  }

  private checkName(kind: Kind, id: ResourceId): void {
    if (!kind.name || kind.name.test(id.name)) return;
    const message = `The resource name '${id.name}' of type '${kind.type}' is invalid; it must match ${kind.name}.`;
    throw new ArmError(400, 'InvalidResourceName', message);
  }

  private check(kind: Kind, operation: string, stored: ArmResource | undefined, conditions: Conditions): void {
    const { ifMatch, ifNoneMatch } = conditions;
    if (kind.ifMatch?.includes(operation) && !ifMatch) {
      throw new ArmError(
        400,
        'MissingRequiredHeader',
        "An HTTP header that's mandatory for this request is not specified: If-Match.",
      );
    }
    if (!kind.etag) return;
    const matches =
      !ifMatch || ifMatch === '*' ? stored !== undefined || !ifMatch : bare(ifMatch) === bare(stored?.etag);
    if (matches && !(ifNoneMatch === '*' && stored)) return;
    const message = `The condition '${ifMatch ?? ifNoneMatch}' in the If-Match header was not satisfied. The current etag is '${stored?.etag ?? 'none'}'.`;
    throw new ArmError(412, 'PreconditionFailed', message);
  }
}

const bare = (etag: string | undefined) => etag?.replace(/^W\//, '').replaceAll('"', '');

const notAllowed = (what: string, kind: Kind) =>
  new ArmError(405, 'MethodNotAllowed', `The operation '${what}' is not supported for resource type '${kind.type}'.`);
