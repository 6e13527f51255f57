import { expect } from 'chai';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { parse } from 'yaml';
import type { z } from 'zod';
import { environmentSchema } from '../../config/environment';
import { eeaRegionNames } from '../../config/regions';
import { eeaRegions } from '../../policies/rules/regions';
import { rules } from '../../policies/rules';
import { readProfile, type Settings } from '../../policies/settings';

const repository = path.join(__dirname, '../..');
const plans = path.join(repository, 'profiles');
const policyProfiles = path.join(repository, 'policies/profiles');
const names = (folder: string, extension: string) =>
  fs.readdirSync(folder).flatMap((file) => (file.endsWith(extension) ? [file.slice(0, -extension.length)] : []));

interface Plan {
  readonly objectives: readonly { readonly service: string }[];
  readonly configuration: Readonly<Record<string, unknown>>;
}

/** The keys of a fragment, each judged by the schema of its place; keys that are missing are no fault of a fragment. */
function strangers(schema: z.ZodType, fragment: unknown, at: string): string[] {
  const shape = (schema as unknown as { shape?: Record<string, z.ZodType> }).shape;
  if (!shape) return schema.safeParse(fragment).success ? [] : [at];
  return Object.entries(fragment as object).flatMap(([key, value]) => {
    const inner = shape[key];
    return inner ? strangers(inner, value, `${at}.${key}`) : [`${at}.${key}`];
  });
}

describe('profiles', () => {
  it('are the four plans, each with its policies', () => {
    expect(names(plans, '.yaml')).to.have.members(['careful', 'domacare', 'moodtalk', 'neosofia']);
    expect(names(policyProfiles, '.json')).to.have.members(names(plans, '.yaml'));
  });

  it('know the same regions as the configuration', () => expect(eeaRegions).to.have.members(eeaRegionNames));

  for (const name of names(plans, '.yaml')) {
    const plan = () => parse(fs.readFileSync(path.join(plans, `${name}.yaml`), 'utf8')) as Plan;

    it(`${name}: its configuration fits the schema of a site`, () => {
      expect(strangers(environmentSchema, plan().configuration, name)).to.deep.equal([]);
      expect(strangers(environmentSchema, { ...plan().configuration, ports: 1 }, name)).to.deep.equal([
        `${name}.ports`,
      ]);
    });

    it(`${name}: every policy names the clause of the plan that it serves`, () => {
      const settings: Settings = readProfile(name, policyProfiles);
      for (const rule of rules) expect(settings[rule.name]?.['clause'], rule.name).to.match(/^\S.{10,}/);
    });
  }
});
