/** Stand-in for the plugin `kubernetes`: every kind that the cluster knows, by server-side apply. */
import { createHash } from 'node:crypto';
import { diff, follow } from './diff';
import { gone, initialized, timeoutOf } from './kubernetes/await';
import { Cluster, KubeError, load, Unreachable, type KubeObject } from './kubernetes/cluster';
import { nameFor } from './naming';
import {
  hasUnknown,
  InitFailed,
  isRecord,
  Secret,
  text,
  unknown,
  type Call,
  type Plugin,
  type Properties,
  type Provider,
} from './plugin';

interface Options {
  readonly namespace?: string;
  readonly enableSecretMutable: boolean;
  readonly enableConfigMapMutable: boolean;
  readonly enablePatchForce: boolean;
  /** What can't be reached is taken as deleted, or as updated. */
  readonly deleteUnreachable: boolean;
  readonly skipUpdateUnreachable: boolean;
}

interface Address {
  readonly collection: string;
  readonly path: string;
  readonly id: string;
}

const autonamed = 'pulumi.com/autonamed';
/** Changes that a live object of the kind can't take. Names and namespaces always are. */
const immutable: Readonly<Record<string, readonly string[]>> = {
  Deployment: ['spec.selector'],
  DaemonSet: ['spec.selector'],
  StatefulSet: ['podManagementPolicy', 'revisionHistoryLimit', 'selector', 'serviceName', 'volumeClaimTemplates'].map(
    (name) => `spec.${name}`,
  ),
  Job: ['spec.completions', 'spec.parallelism', 'spec.selector', 'spec.template'],
  Secret: ['type'],
  Service: ['spec.clusterIP'],
  PersistentVolumeClaim: ['accessModes', 'selector', 'storageClassName', 'volumeName'].map((name) => `spec.${name}`),
  Pod: ['spec'],
  ClusterRoleBinding: ['roleRef'],
  RoleBinding: ['roleRef'],
  StorageClass: ['parameters', 'provisioner'],
};

const metadataOf = (inputs: Properties) => (isRecord(inputs['metadata']) ? inputs['metadata'] : {});
const annotationsOf = (inputs: Properties) =>
  (isRecord(metadataOf(inputs)['annotations']) ? metadataOf(inputs)['annotations'] : {}) as Record<string, unknown>;

/** An object's own fields with one manager for each resource of a program, so that two of them can't claim one field unseen. */
const managerOf = (urn: string) => `pulumi-kubernetes-${createHash('sha256').update(urn).digest('hex').slice(0, 8)}`;

/** `stringData` is for writing only; applied as `data`, a key that goes from it goes from the object. */
function manifestOf(inputs: Properties): Properties {
  if (inputs['kind'] !== 'Secret' || !isRecord(inputs['stringData'])) return inputs;
  const { stringData, ...rest } = inputs;
  const encoded = Object.entries(stringData).map(([key, value]) => [
    key,
    Buffer.from(String(value)).toString('base64'),
  ]);
  return { ...rest, data: { ...(isRecord(inputs['data']) ? inputs['data'] : {}), ...Object.fromEntries(encoded) } };
}

function outputsOf(live: KubeObject, inputs: Properties): Properties {
  const { managedFields: _, ...metadata } = live.metadata as KubeObject['metadata'] & { managedFields?: unknown };
  const outputs: Record<string, unknown> = { ...live, metadata };
  if (live.kind !== 'Secret') return outputs;
  if (outputs['data'] !== undefined) outputs['data'] = new Secret(outputs['data']);
  if (inputs['stringData'] !== undefined) outputs['stringData'] = new Secret(inputs['stringData']);
  return outputs;
}

class KubernetesProvider implements Provider {
  constructor(
    private readonly cluster: Cluster,
    private readonly options: Options,
  ) {}

  check: Provider['check'] = async (call) => {
    const { news, olds, type } = call;
    if (/Patch$/.test(type) && !String(news['kind']).endsWith('Patch'))
      throw new Error(`${type}: patches of objects that others made are not in the stand-in for kubernetes`);
    const failures = ['apiVersion', 'kind']
      .filter((key) => news[key] === undefined)
      .map((property) => ({ property, reason: `missing required property '${property}'` }));
    const metadata = metadataOf(news);
    if (metadata['name'] !== undefined) return { inputs: news, failures };
    const kept = annotationsOf(olds)[autonamed] === 'true' ? metadataOf(olds)['name'] : undefined;
    const chosen = kept ?? nameFor(call, 'random', '-')?.name;
    if (chosen === undefined)
      return {
        inputs: news,
        failures: [...failures, { property: 'metadata', reason: "missing required property 'metadata.name'" }],
      };
    return {
      inputs: {
        ...news,
        metadata: { ...metadata, name: chosen, annotations: { ...annotationsOf(news), [autonamed]: 'true' } },
      },
      failures,
    };
  };

  diff: Provider['diff'] = ({ oldInputs, news }) => {
    const forces = new Set(['kind', 'metadata.name', 'metadata.namespace', ...(immutable[String(news['kind'])] ?? [])]);
    const frozen = oldInputs['immutable'] === true;
    if (news['kind'] === 'Secret' && (frozen || !this.options.enableSecretMutable))
      for (const key of ['data', 'stringData']) forces.add(key);
    if (news['kind'] === 'ConfigMap' && (frozen || !this.options.enableConfigMapMutable))
      for (const key of ['data', 'binaryData']) forces.add(key);
    // The same name can't be taken twice: the old object goes first, unless its successor gets a name of its own.
    const sameName =
      metadataOf(oldInputs)['name'] === metadataOf(news)['name'] &&
      metadataOf(oldInputs)['namespace'] === metadataOf(news)['namespace'];
    return diff(oldInputs, news, (path) => forces.has(path), sameName && annotationsOf(news)[autonamed] !== 'true');
  };

  preview: Provider['preview'] = ({ inputs, oldOutputs }) => ({
    ...(hasUnknown(inputs) ? {} : pick(oldOutputs, ['data'])),
    status: oldOutputs?.['status'] ?? unknown,
    ...inputs,
  });

  private async address(inputs: Properties, signal: AbortSignal): Promise<Address> {
    const { path, namespaced } = await this.cluster.locate(
      String(inputs['apiVersion']),
      String(inputs['kind']),
      signal,
    );
    const { name, namespace: own } = metadataOf(inputs) as { name: string; namespace?: string };
    const namespace = own ?? this.options.namespace ?? this.cluster.namespace ?? 'default';
    const collection = path(namespace);
    return { collection, path: `${collection}/${name}`, id: namespaced ? `${namespace}/${name}` : name };
  }

  /** Applies, waits, and tells what is there. @throws InitFailed when the object is there but does not become ready. */
  private async apply(call: Call, inputs: Properties): Promise<{ id: string; outputs: Properties }> {
    const { path, id } = await this.address(inputs, call.signal);
    const force = this.options.enablePatchForce || annotationsOf(inputs)['pulumi.com/patchForce'] === 'true';
    const query = { fieldManager: managerOf(call.urn), fieldValidation: 'Strict', force: String(force) };
    const init = { body: manifestOf(inputs), contentType: 'application/apply-patch+yaml', query };
    const applied = (await this.cluster.request('PATCH', path, call.signal, init)) as unknown as KubeObject;
    const { live, reasons } = await initialized(
      this.cluster,
      path,
      applied,
      timeoutOf(applied, call.timeoutMs),
      call.signal,
    ).catch((cause: unknown) => ({ live: applied, reasons: [cause instanceof Error ? cause.message : String(cause)] }));
    const outputs = outputsOf(live, inputs);
    if (reasons.length) throw new InitFailed(id, outputs, reasons);
    return { id, outputs };
  }

  create: Provider['create'] = (call) => this.apply(call, call.inputs);

  update: Provider['update'] = async (call) => {
    try {
      return (await this.apply(call, call.inputs)).outputs;
    } catch (cause) {
      if (cause instanceof Unreachable && this.options.skipUpdateUnreachable) return call.oldOutputs;
      throw cause;
    }
  };

  read: Provider['read'] = async ({ type, id, inputs, outputs, signal }) => {
    const known = inputs ?? (outputs['kind'] ? outputs : importedFrom(type, id));
    try {
      const { path, id: actual } = await this.address(known, signal);
      const live = (await this.cluster.request('GET', path, signal)) as unknown as KubeObject;
      const now = outputsOf(live, known);
      if (!inputs) return { id: actual, inputs: withoutStatus(live), outputs: now };
      return { id: actual, inputs: follow(inputs, outputs, now), outputs: now };
    } catch (cause) {
      if (cause instanceof KubeError && cause.status === 404) return { id: '', inputs: {}, outputs: {} };
      if (cause instanceof Unreachable && this.options.deleteUnreachable) return { id: '', inputs: {}, outputs: {} };
      throw cause;
    }
  };

  delete: Provider['delete'] = async ({ id, inputs, outputs, signal, timeoutMs }) => {
    try {
      const there = inputs['kind'] ? inputs : outputs;
      const { path } = await this.address(there, signal);
      const propagationPolicy = annotationsOf(there)['pulumi.com/deletionPropagationPolicy'];
      const policy =
        typeof propagationPolicy === 'string'
          ? propagationPolicy[0]?.toUpperCase() + propagationPolicy.slice(1)
          : 'Foreground';
      await this.cluster.request('DELETE', path, signal, { query: { propagationPolicy: policy } });
      await gone(
        this.cluster,
        path,
        `${String(there['kind'])} ${id}`,
        timeoutOf(there as unknown as KubeObject, timeoutMs),
        signal,
      );
    } catch (cause) {
      if (cause instanceof KubeError && cause.status === 404) return;
      if (cause instanceof Unreachable && this.options.deleteUnreachable) return;
      throw cause;
    }
  };

  invoke: Provider['invoke'] = async (token) => {
    throw new Error(`function "${token}" is not in the stand-in for kubernetes; it has none`);
  };
}

const pick = (from: Properties | undefined, keys: readonly string[]): Properties =>
  Object.fromEntries(keys.flatMap((key) => (from?.[key] === undefined ? [] : [[key, from[key]]])));

/** `kubernetes:apps/v1:Deployment` and `NAMESPACE/NAME`: enough to find an object that is to be imported. */
function importedFrom(type: string, id: string): Properties {
  const [, group = '', kind = ''] = type.split(':');
  const [name, namespace] = id.split('/').reverse();
  return { apiVersion: group.replace(/^core\//, ''), kind, metadata: { name, ...(namespace ? { namespace } : {}) } };
}

function withoutStatus({ status: _, metadata, ...rest }: KubeObject): Properties {
  const { name, namespace, labels, annotations } = metadata as unknown as Properties;
  return {
    ...rest,
    metadata: Object.fromEntries(
      Object.entries({ name, namespace, labels, annotations }).filter(([, value]) => value !== undefined),
    ),
  };
}

function configure(config: Properties): KubernetesProvider {
  const kubeconfig = config['kubeconfig'] ?? process.env['KUBECONFIG'];
  if (typeof kubeconfig !== 'string' || kubeconfig === '') {
    throw new Error('kubernetes: no kubeconfig; give one to the provider (kubeconfig: its content or its path)');
  }
  const on = (key: string, otherwise = false) => (config[key] === undefined ? otherwise : text(config[key]) === 'true');
  if (!on('enableServerSideApply', true))
    throw new Error('kubernetes: enableServerSideApply is false; the stand-in knows server-side apply alone');
  const options: Options = {
    ...(typeof config['namespace'] === 'string' ? { namespace: config['namespace'] } : {}),
    enableSecretMutable: on('enableSecretMutable'),
    enableConfigMapMutable: on('enableConfigMapMutable'),
    enablePatchForce: on('enablePatchForce'),
    deleteUnreachable: on('deleteUnreachable'),
    skipUpdateUnreachable: on('skipUpdateUnreachable'),
  };
  return new KubernetesProvider(
    new Cluster(load(kubeconfig, typeof config['context'] === 'string' ? config['context'] : undefined)),
    options,
  );
}

export const kubernetes = { name: 'kubernetes', version: '4.34.2', configure } satisfies Plugin;
