import type * as pulumi from '@pulumi/pulumi';

/**
 * Options of every object on a cluster. An object of a cluster that nobody can reach is left out of the program: the engine then
 * forgets it without calling that cluster, and what runs there stays until it is applied again.
 */
export const kept = (parent: pulumi.Resource, dependsOn?: pulumi.Resource): pulumi.CustomResourceOptions => ({
  parent,
  retainOnDelete: true,
  ...(dependsOn ? { dependsOn } : {}),
});

/**
 * A Service without pods behind it, and an Ingress to it, are as they should be on a standby site: nobody waits for endpoints.
 * Readiness is the Deployment's to tell.
 */
export const noWait = { 'pulumi.com/skipAwait': 'true' } as const;
