/** What the tests of components share: making one with mocks, and finding what it made. */
import { apps, type Hosts } from '../../config/fields';
import { record, type Registered } from '../stacks/engine';

/** @returns what `make` registers, each with its inputs and options. */
export const made = async (make: () => unknown): Promise<readonly Registered[]> =>
  (
    await record('prod', {}, {}, async () => {
      await make();
    })
  ).resources;

export function one(resources: readonly Registered[], type: string, name: string): Registered {
  const found = resources.find((resource) => resource.type === type && resource.name === name);
  if (found) return found;
  throw new Error(`no ${type} ${name}; there are ${resources.map((each) => `${each.type} ${each.name}`).join(', ')}`);
}

export const children = (resources: readonly Registered[], parent: string): string[] =>
  resources.filter((resource) => resource.parent === parent).map((resource) => `${resource.type} ${resource.name}`);

export type Json = Record<string, unknown>;
export const place = { resourceGroupName: 'rg-x', location: 'westeurope' };
export const group = '/subscriptions/s/resourceGroups/rg-x';
export const hosts = Object.fromEntries(
  [...apps, 'idp'].map((name) => [name, `${name}.moodtalk.ch`]),
) as unknown as Hosts;
