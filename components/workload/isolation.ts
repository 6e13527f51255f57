import { NetworkPolicy } from '@pulumi/kubernetes/networking/v1/networkPolicy';
import type * as pulumi from '@pulumi/pulumi';
import { kept } from './kept';

/** Namespace of the vendor's ingress controller. */
const ingressNamespace = 'app-routing-system';

/**
 * Pods are reached by the ingress controller alone, and reach names, databases and HTTPS alone.
 * @param databasePorts - of the engines that a platform may work on.
 */
export function isolation(
  parent: pulumi.Resource,
  name: string,
  platform: string,
  namespace: pulumi.Resource,
  databasePorts: readonly number[] = [1433, 5432],
): NetworkPolicy {
  const port = (number: number, protocol = 'TCP') => ({ protocol, port: number });
  return new NetworkPolicy(
    `${name}-isolation`,
    {
      metadata: { name: 'isolation', namespace: platform },
      spec: {
        podSelector: {},
        policyTypes: ['Ingress', 'Egress'],
        ingress: [
          {
            from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': ingressNamespace } } }],
            ports: [port(8080)],
          },
        ],
        egress: [{ ports: [port(53, 'UDP'), port(53), port(443), ...databasePorts.map((one) => port(one))] }],
      },
    },
    kept(parent, namespace),
  );
}
