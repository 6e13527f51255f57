/** The way into a site's cluster. */
import { listManagedClusterUserCredentialsOutput } from '@pulumi/azure-native/containerservice/listManagedClusterUserCredentials';
import { Provider } from '@pulumi/kubernetes/provider';
import * as pulumi from '@pulumi/pulumi';
import type { Site } from '../config/fields';
import type { SiteOutputs } from '../config/outputs';

/**
 * Stands for a cluster that nobody can reach. The engine loads a provider even to forget its objects, and a provider that is
 * loaded asks its cluster who it is; this one is refused at once, where the real one would be waited for.
 */
const nobody = JSON.stringify({
  apiVersion: 'v1',
  kind: 'Config',
  clusters: [{ name: 'unreachable', cluster: { server: 'https://127.0.0.1:1' } }],
  users: [{ name: 'nobody', user: {} }],
  contexts: [{ name: 'unreachable', context: { cluster: 'unreachable', user: 'nobody' } }],
  'current-context': 'unreachable',
});

function credentials({ resourceGroup, cluster }: SiteOutputs): pulumi.Output<string> {
  const answer = listManagedClusterUserCredentialsOutput({
    resourceGroupName: resourceGroup.name,
    resourceName: cluster.name,
  });
  return pulumi.secret(
    answer.kubeconfigs.apply(([first]) => {
      if (!first) throw new pulumi.RunError(`Azure has no credentials for cluster ${cluster.name}: is it running?`);
      return Buffer.from(first.value, 'base64').toString('utf8');
    }),
  );
}

/** @param lost - nobody can reach the cluster: it is not asked, and nothing may be made with this provider. */
export function clusterProvider(site: Site, outputs: SiteOutputs, lost: boolean): Provider {
  return new Provider(`kubernetes-${site}`, {
    kubeconfig: lost ? nobody : credentials(outputs),
    // The cluster is the same one whatever its credentials are: a change of those replaces nothing.
    clusterIdentifier: outputs.cluster.id,
    enableServerSideApply: true,
    // A cluster that comes back still has its objects: they are taken over, and put right.
    upsertExistingObjects: true,
    enablePatchForce: true,
    // What changes is changed, not replaced under its name.
    enableSecretMutable: true,
    enableConfigMapMutable: true,
  });
}
