/** Resource options that several components share. */
import type * as pulumi from '@pulumi/pulumi';

/**
 * Keeps a resource exactly as the state has it: the engine puts the old inputs in place of the new ones, finds no difference, and
 * calls nobody. It is how resources of a region that can't be reached stay in the program.
 */
export const untouched = (frozen: boolean | undefined, otherwise: string[] = []): { ignoreChanges: string[] } => ({
  ignoreChanges: frozen ? ['*'] : otherwise,
});

/**
 * What is made at one database server: Azure does one thing at a time to it, and refuses what comes meanwhile.
 * @param after - what must be there before the first one.
 * @returns what was made, each after the one before it.
 */
export function oneByOne<Item, Made extends pulumi.Resource>(
  items: readonly Item[],
  after: pulumi.Resource[],
  make: (item: Item, dependsOn: pulumi.Resource[]) => Made,
): Made[] {
  const made: Made[] = [];
  for (const item of items) made.push(make(item, made.length > 0 ? made.slice(-1) : after));
  return made;
}

/** Options that a component takes from whoever makes it. */
export type Options = pulumi.ComponentResourceOptions;
