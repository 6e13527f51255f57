/**
 * Data set `secrets`: what the stacks keep for the sites, and the variables of the process that configuration names. They are in
 * memory, then sealed; nothing of them is written anywhere in clear. They come back as a file: where each of them belongs is for a
 * person to say.
 */
import { z } from 'zod';
import type { Difference, EstateFile, EstateSet } from '../../../backup/estate/set';
import { sites, type Site } from '../../../config/fields';
import type { SiteSecrets } from '../../../config/outputs';
import { canonical } from '../../../failover/digest';
import { StandbyError } from '../../../failover/errors';
import type { AdapterContext } from '../../context';
import { jsonFile, readJsonFile } from './files';

const fileName = 'secrets.json';

const secretsSchema = z.object({
  sites: z.record(z.string(), z.record(z.string(), z.unknown())),
  variables: z.record(z.string(), z.string()),
});
type Secrets = z.infer<typeof secretsSchema>;

/** @param variables names, as configuration has them. */
export const secretsSet = (context: AdapterContext, variables: readonly string[]): EstateSet => ({
  dataSet: 'secrets',
  tool: 'age',
  secondKey: true,
  collect: async () => [jsonFile(fileName, collect(context, variables))],
  compare: async (files) => compare(context, files),
});

/** @throws StandbyError SecretMissing, with names alone. */
function collect({ landscape, environment }: AdapterContext, variables: readonly string[]): Secrets {
  const missing = variables.filter((name) => !environment[name]);
  if (missing.length > 0) {
    throw new StandbyError(
      'SecretMissing',
      `${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} not set here, and configuration has ${missing.length === 1 ? 'it' : 'them'} among the secrets: set or remove`,
    );
  }
  return {
    sites: Object.fromEntries(sites.map((site) => [site, { ...landscape.secrets[site] }])),
    variables: Object.fromEntries(variables.map((name) => [name, environment[name]!])),
  };
}

function compare({ landscape, environment }: AdapterContext, files: readonly EstateFile[]): readonly Difference[] {
  const kept = readJsonFile(files, fileName, (value) => secretsSchema.parse(value));
  const one = (what: string, before: unknown, now: unknown): Difference[] =>
    canonical(before) === canonical(now ?? null)
      ? []
      : [{ what, how: now === undefined ? 'missing' : 'different', detail: 'values are not shown' }];
  return [
    ...Object.entries(kept.sites).flatMap(([site, values]) => {
      const known = landscape.secrets[site as Site] as SiteSecrets | undefined;
      return Object.entries(values).flatMap(([key, value]) =>
        one(`secret ${key} of ${site}`, value, known?.[key as keyof SiteSecrets]),
      );
    }),
    ...Object.entries(kept.variables).flatMap(([name, value]) => one(`variable ${name}`, value, environment[name])),
  ];
}
