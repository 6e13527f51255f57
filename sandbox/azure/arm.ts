/** The front of Azure Resource Manager: every request passes the same gates in the vendor's order, then the engine answers. */
import { setTimeout as delay } from 'node:timers/promises';
import { isCutOff } from '../silence';
import { may, verify, type Principal } from './access';
import { chaos } from './chaos';
import { locationOf, siteOfLocation } from './context';
import type { Conditions, Engine, Written } from './engine';
import { headerOf, jsonOf, type Answer, type Request } from './http';
import { canonicalId, parseCollection, parseId, type ResourceId } from './id';
import { ArmError, type Json, type Kind } from './kind';
import type { Operation, Operations, Outcome } from './operations';
import { findKind, kindsOf } from './registry';
import type { Store } from './store';
import { armAudiences, armEndpoint, loginEndpoint, subscriptionId, tenantId } from './tokens';

export interface ArmOptions {
  /** How long a request to a silent region hangs before it is answered 503, in ms. */
  readonly silenceMs: number;
}

interface Target {
  readonly kind: Kind;
  /** What authorization is asked on, and where the silence is looked up. */
  readonly id: ResourceId | undefined;
  readonly scope: string;
  readonly action?: string;
  readonly list?: { readonly under: string; readonly parent: string | undefined };
}

const apiVersionForm = /^\d{4}-\d{2}-\d{2}(-preview|-privatepreview|-alpha|-beta|\.[\d.]+)?$/;
const verbs: Readonly<Record<string, string>> = {
  GET: 'read',
  HEAD: 'read',
  PUT: 'write',
  PATCH: 'write',
  DELETE: 'delete',
};

export class Arm {
  constructor(
    private readonly store: Store,
    private readonly engine: Engine,
    private readonly operations: Operations,
    private readonly options: ArmOptions,
  ) {}

  async handle(request: Request): Promise<Answer> {
    const { act, lost } = await chaos(request);
    if (!act) return { status: 503, lost };
    const answer = await this.pass(request);
    return lost ? { ...answer, lost } : answer;
  }

  private async pass(request: Request): Promise<Answer> {
    const principal = await this.authenticated(request);
    const path = request.path.split('/').filter(Boolean).map(decodeURIComponent).join('/').replace(/^/, '/');
    const apiVersion = request.query.get('api-version');
    if (!apiVersion) {
      throw new ArmError(
        400,
        'MissingApiVersionParameter',
        'The api-version query parameter (?api-version=) is required for all requests.',
      );
    }
    this.needSubscription(path);
    const operation = /\/operation(Statuses|Results)\/([\da-f-]{36})$/i.exec(path);
    if (operation) return this.operation(request, operation[1]?.toLowerCase() === 'results', operation[2] as string);
    const general = this.general(request, path, principal);
    if (general) return general;
    const target = this.target(request.method, path, apiVersion);
    this.authorize(principal, request.method, target);
    await this.hearing(request, target);
    return this.act(request, target);
  }

  private async authenticated(request: Request): Promise<Principal> {
    const verdict = await verify(headerOf(request, 'authorization'), armAudiences);
    if ('principal' in verdict) return verdict.principal;
    const [code, message] = {
      missing: ['AuthenticationFailed', "Authentication failed. The 'Authorization' header is missing."],
      invalid: ['InvalidAuthenticationToken', 'The access token is invalid.'],
      expired: [
        'ExpiredAuthenticationToken',
        `The access token expiry UTC time '${verdict.detail}' is earlier than current UTC time.`,
      ],
      audience: [
        'InvalidAuthenticationTokenAudience',
        `The access token has been obtained for wrong audience or resource; allowed: ${armAudiences.join(', ')}.`,
      ],
    }[verdict.failure] as [string, string];
    const challenge = `Bearer authorization_uri="${loginEndpoint}/${tenantId()}", error="invalid_token", error_description="${message}"`;
    throw new ArmError(401, code, message, { 'www-authenticate': challenge });
  }

  private needSubscription(path: string): void {
    const asked = /^\/subscriptions\/([^/]+)/i.exec(path)?.[1];
    if (asked && asked.toLowerCase() !== subscriptionId().toLowerCase()) {
      throw new ArmError(404, 'SubscriptionNotFound', `The subscription '${asked}' could not be found.`);
    }
  }

  /** What belongs to no kind: the subscription, its providers, the list of all resources. */
  private general(request: Request, path: string, principal: Principal): Answer | undefined {
    if (request.method !== 'GET') return undefined;
    const subscription = {
      id: `/subscriptions/${subscriptionId()}`,
      subscriptionId: subscriptionId(),
      tenantId: tenantId(),
      state: 'Enabled',
      displayName: 'Standby sandbox',
    };
    const lower = path.toLowerCase();
    if (lower === '/subscriptions') return { status: 200, body: { value: [subscription] } };
    if (lower === '/tenants')
      return { status: 200, body: { value: [{ id: `/tenants/${tenantId()}`, tenantId: tenantId() }] } };
    if (lower === subscription.id.toLowerCase()) return { status: 200, body: subscription };
    const namespace = /^\/subscriptions\/[^/]+\/providers\/([^/]+)$/i.exec(path)?.[1];
    if (namespace) {
      const resourceTypes = kindsOf(namespace).map(({ type, apiVersions }) => ({
        resourceType: type.slice(namespace.length + 1),
        apiVersions,
      }));
      if (resourceTypes.length > 0)
        return { status: 200, body: { id: path, namespace, registrationState: 'Registered', resourceTypes } };
    }
    const under = /^(\/subscriptions\/[^/]+(?:\/resourceGroups\/[^/]+)?)\/resources$/i.exec(path)?.[1];
    if (!under) return undefined;
    const value = this.store
      .list(undefined, under)
      .filter((resource) => resource.location !== undefined && resource.id.split('/providers/').length === 2)
      .filter((resource) => may(principal.objectId, `${resource.type}/read`, resource.id, 'control'))
      .map(({ id, name, type, location, tags }) => ({ id, name, type, location, ...(tags ? { tags } : {}) }));
    return { status: 200, body: { value } };
  }

  private target(method: string, path: string, apiVersion: string): Target {
    const target = this.targetOf(method, path);
    if (!target) {
      throw new ArmError(
        404,
        'InvalidResourceType',
        `The resource type of '${path}' could not be found for api version '${apiVersion}'.`,
      );
    }
    const { kind } = target;
    if (kind.apiVersions.includes(apiVersion)) return target;
    const supported = `The supported api-versions are '${kind.apiVersions.join(', ')}'.`;
    if (!apiVersionForm.test(apiVersion)) {
      throw new ArmError(400, 'InvalidApiVersionParameter', `The api-version '${apiVersion}' is invalid. ${supported}`);
    }
    const message = `No registered resource provider found for API version '${apiVersion}' for type '${kind.type}'. ${supported}`;
    throw new ArmError(400, 'NoRegisteredProviderFound', message);
  }

  private targetOf(method: string, path: string): Target | undefined {
    if (method === 'POST') {
      const id = parseId(path.slice(0, path.lastIndexOf('/')));
      const kind = id && findKind(id.type);
      return (
        kind && { kind, id: canonicalId(id, kind.type), scope: id.id, action: path.slice(path.lastIndexOf('/') + 1) }
      );
    }
    const id = parseId(path);
    const kind = id && findKind(id.type);
    if (kind) return { kind, id: canonicalId(id, kind.type), scope: id.id };
    const collection = method === 'GET' ? parseCollection(path) : undefined;
    const listed = collection && findKind(collection.type);
    if (!listed) return undefined;
    const scope = collection.parent ?? collection.under;
    return { kind: listed, id: parseId(scope), scope, list: collection };
  }

  private authorize(principal: Principal, method: string, target: Target): void {
    const type = target.kind.type.replace(
      /^Microsoft\.Resources\/resourceGroups$/,
      'Microsoft.Resources/subscriptions/resourceGroups',
    );
    const action = target.action ? `${type}/${target.action}/action` : `${type}/${verbs[method]}`;
    if (may(principal.objectId, action, target.scope, 'control')) return;
    throw new ArmError(
      403,
      'AuthorizationFailed',
      `The client '${principal.clientId}' with object id '${principal.objectId}' does not have authorization to perform action ` +
        `'${action}' over scope '${target.scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.`,
    );
  }

  /** A region that is down does not answer: the request hangs until the region is back, the caller gives up, or the limit is over. */
  private async hearing(request: Request, target: Target): Promise<void> {
    if (!target.id) return;
    const body = request.method === 'PUT' && request.body.length > 0 ? jsonOf(request)['location'] : undefined;
    const location = locationOf(this.store, target.id, typeof body === 'string' ? body : undefined);
    await this.heard(location, request.gone);
  }

  private async heard(location: string | undefined, gone: AbortSignal): Promise<void> {
    const site = location === undefined ? undefined : siteOfLocation(location);
    const end = Date.now() + this.options.silenceMs;
    while (site && isCutOff(site)) {
      if (gone.aborted || Date.now() >= end) {
        const message = `The service in region '${location}' is temporarily unavailable. Please try again later.`;
        throw new ArmError(503, 'ServiceUnavailable', message, { 'retry-after': '10' });
      }
      await delay(100);
    }
  }

  private async act(request: Request, target: Target): Promise<Answer> {
    const { kind, id, list } = target;
    const conditions: Conditions = {
      ifMatch: headerOf(request, 'if-match'),
      ifNoneMatch: headerOf(request, 'if-none-match'),
    };
    if (list) {
      await this.engine.needForList(list.under, list.parent);
      return { status: 200, body: { value: await this.engine.list(kind, list.under, list.parent, request.query) } };
    }
    const at = id as ResourceId;
    switch (request.method) {
      case 'GET':
        return withEtag(200, await this.engine.get(kind, at));
      case 'HEAD':
        return this.head(kind, at);
      case 'PUT':
        return this.written(kind, at, request, await this.engine.put(kind, at, jsonOf(request), conditions));
      case 'PATCH':
        return this.written(kind, at, request, await this.engine.patch(kind, at, jsonOf(request), conditions));
      case 'DELETE': {
        const outcome = await this.engine.remove(kind, at, conditions);
        if ('operation' in outcome) return this.accepted(202, outcome.operation, request);
        return { status: outcome.done ? 200 : 204 };
      }
      case 'POST':
        return this.acted(
          request,
          await this.engine.act(kind, at, target.action as string, jsonOf(request), conditions),
        );
      default:
        throw new ArmError(405, 'MethodNotAllowed', `The method '${request.method}' is not supported.`);
    }
  }

  private async head(kind: Kind, id: ResourceId): Promise<Answer> {
    await this.engine.get(kind, id);
    return { status: 204 };
  }

  private written(kind: Kind, id: ResourceId, request: Request, outcome: Outcome<Written> & { body: Json }): Answer {
    if ('operation' in outcome) {
      const existing = this.store.get(id.id);
      const shown = existing ?? this.engine.pending(kind, id, outcome.body);
      return { ...this.accepted(existing ? 200 : 201, outcome.operation, request), body: shown };
    }
    return withEtag(outcome.done.created ? (kind.createdStatus ?? 201) : 200, outcome.done.resource);
  }

  private acted(request: Request, outcome: Outcome<unknown>): Answer {
    if ('operation' in outcome) return this.accepted(202, outcome.operation, request);
    const body = outcome.done as Json | undefined;
    return typeof body?.['etag'] === 'string'
      ? withEtag(200, body)
      : { status: 200, ...(body === undefined ? {} : { body }) };
  }

  private accepted(status: number, operation: Operation, request: Request): Answer {
    const namespace = parseId(operation.id)?.type.split('/')[0];
    const base = `${armEndpoint}/subscriptions/${subscriptionId()}/providers/${namespace}`;
    const version = `api-version=${request.query.get('api-version')}`;
    return {
      status,
      headers: {
        'azure-asyncoperation': `${base}/operationStatuses/${operation.operation}?${version}`,
        location: `${base}/operationResults/${operation.operation}?${version}`,
        'retry-after': '1',
      },
    };
  }

  /** What a caller polls: `operationStatuses` (Azure-AsyncOperation) or `operationResults` (Location). */
  private async operation(request: Request, asResult: boolean, name: string): Promise<Answer> {
    const operation = this.operations.get(name);
    if (!operation) throw new ArmError(404, 'OperationNotFound', `The operation '${name}' could not be found.`);
    const target = parseId(operation.id);
    if (target) await this.heard(locationOf(this.store, target), request.gone);
    const { status, startTime, endTime, error, id } = operation;
    if (!asResult) {
      const ended = { ...(endTime ? { endTime } : {}), ...(error ? { error } : {}) };
      const headers: Record<string, string> = status === 'InProgress' ? { 'retry-after': '1' } : {};
      return { status: 200, headers, body: { id, name, status, startTime, ...ended } };
    }
    if (status === 'InProgress') return this.accepted(202, operation, request);
    if (error) throw new ArmError(409, error.code, error.message);
    const body = operation.method === 'PUT' ? this.store.get(id) : operation.result;
    return body === undefined ? { status: 204 } : { status: 200, body };
  }
}

function withEtag(status: number, resource: Json): Answer {
  const etag = resource['etag'];
  return { status, body: resource, ...(typeof etag === 'string' ? { headers: { etag } } : {}) };
}
