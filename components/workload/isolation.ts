import { NetworkPolicy } from '@pulumi/kubernetes/networking/v1/networkPolicy';
import type * as pulumi from '@pulumi/pulumi';
import { kept } from './kept';

/** Namespace of the vendor's ingress controller. */
const ingressNamespace = 'app-routing-system';

/**
 * Pods are reached by the ingress controller alone, and reach names, databases and HTTPS alone.
 */
export function isolation(
  parent: pulumi.Resource,
  name: string,
  platform: string,
  namespace: pulumi.Resource,
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
        egress: [{ ports: [port(53, 'UDP'), port(53), port(443), port(1433), port(5432)] }],
      },
    },
    kept(parent, namespace),
  );
}
