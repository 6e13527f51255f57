/** Resource options that several components share. */
import type * as pulumi from '@pulumi/pulumi';

/**
 * Keeps a resource exactly as the state has it: the engine puts the old inputs in place of the new ones, finds no difference, and
 * calls nobody. It is how resources of a region that can't be reached stay in the program.
 */
export const untouched = (frozen: boolean | undefined, otherwise: string[] = []): { ignoreChanges: string[] } => ({
  ignoreChanges: frozen ? ['*'] : otherwise,
});

/** Options that a component takes from whoever makes it. */
export type Options = pulumi.ComponentResourceOptions;
