import { defineRule, read, readList, readLower, text, type Resource, type Violation } from '../rule';

const containerApp = 'azure-native:app:ContainerApp';
const served = ['Deployment', 'StatefulSet', 'DaemonSet'].map((kind) => `kubernetes:apps/v1:${kind}`);
const batch = ['kubernetes:batch/v1:Job', 'kubernetes:batch/v1:CronJob', 'kubernetes:core/v1:Pod'];
const workloads = [...served, ...batch, containerApp];

/** Where the pod's specification is, per type. */
function podPath(type: string): string {
  if (type === containerApp) return 'template';
  if (type.endsWith(':CronJob')) return 'spec.jobTemplate.spec.template.spec';
  return type.endsWith(':Pod') ? 'spec' : 'spec.template.spec';
}

interface Container {
  readonly spec: unknown;
  /** How a person finds it: `spec.template.spec.containers[api]`. */
  readonly path: string;
  readonly initial: boolean;
}

function containersOf(resource: Resource): readonly Container[] {
  const pod = podPath(resource.type);
  return ['containers', 'initContainers'].flatMap((kind) =>
    readList(resource.props, `${pod}.${kind}`).map((spec, index) => ({
      spec,
      path: `${pod}.${kind}[${text(read(spec, 'name') ?? index)}]`,
      initial: kind === 'initContainers',
    })),
  );
}

const hasProbe = (spec: unknown, kind: 'readiness' | 'liveness') =>
  read(spec, `${kind}Probe`) !== undefined ||
  readList(spec, 'probes').some((probe) => readLower(probe, 'type') === kind);

export const workloadProbes = defineRule({
  name: 'workload-probes',
  description: 'Each container that serves says when it is ready and whether it is alive',
  standard: 'ISO/IEC 27001:2022 A.8.14 (redundancy), A.8.16 (monitoring activities)',
  scope: 'resource',
  types: [...served, containerApp],
  settings: {},
  *check(resource): Iterable<Violation> {
    for (const { spec, path, initial } of containersOf(resource)) {
      if (initial) continue;
      for (const kind of ['readiness', 'liveness'] as const) {
        if (!hasProbe(spec, kind)) yield { property: `${path}.${kind}Probe`, value: undefined, limit: 'a probe' };
      }
    }
  },
});

/** Container apps take one figure, which is both the request and the limit. */
const shares = (type: string) =>
  type === containerApp
    ? ['resources.cpu', 'resources.memory']
    : ['resources.requests.cpu', 'resources.requests.memory', 'resources.limits.cpu', 'resources.limits.memory'];

export const workloadResources = defineRule({
  name: 'workload-resources',
  description:
    'Each container says what it needs and what it may take: the standby site must hold the production release',
  standard: 'ISO/IEC 27001:2022 A.8.6 (capacity management)',
  scope: 'resource',
  types: workloads,
  settings: {},
  *check(resource): Iterable<Violation> {
    for (const { spec, path } of containersOf(resource)) {
      for (const share of shares(resource.type)) {
        const value = read(spec, share);
        if (value === undefined) yield { property: `${path}.${share}`, value, limit: 'an amount' };
      }
    }
  },
});

export const pinnedImages = defineRule({
  name: 'pinned-images',
  description: 'Images are pinned by digest: both sites run the same bytes',
  standard: 'ISO/IEC 27001:2022 A.8.19 (installation of software on operational systems)',
  scope: 'resource',
  types: workloads,
  settings: {},
  *check(resource): Iterable<Violation> {
    for (const { spec, path } of containersOf(resource)) {
      const value = read(spec, 'image');
      if (/@sha256:[0-9a-f]{64}$/.test(text(value))) continue;
      yield { property: `${path}.image`, value, limit: 'NAME:VERSION@sha256:DIGEST (64 hexadecimal digits)' };
    }
  },
});

export const notPrivileged = defineRule({
  name: 'not-privileged',
  description: 'Containers have no power over the node',
  standard: 'ISO/IEC 27001:2022 A.8.2 (privileged access rights)',
  scope: 'resource',
  types: [...served, ...batch],
  settings: {},
  *check(resource): Iterable<Violation> {
    for (const { spec, path } of containersOf(resource)) {
      const value = read(spec, 'securityContext.privileged');
      if (value === true) yield { property: `${path}.securityContext.privileged`, value, limit: 'false or not set' };
    }
    for (const flag of ['hostNetwork', 'hostPID', 'hostIPC']) {
      const property = `${podPath(resource.type)}.${flag}`;
      if (read(resource.props, property) === true) yield { property, value: true, limit: 'false or not set' };
    }
  },
});
