/**
 * Settings by configuration: the file that `pulumi … --policy-pack-config FILE` takes, checked more strictly than the engine
 * does it (which passes over a name that it does not know).
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { z } from 'zod';
import type { Rule, Setting } from './rule';
import { rules } from './rules';
import { settingsSchema } from './schema';

/** rule → setting → value; complete, defaults filled in. */
export type Settings = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** Bad input: one line for each issue, no stack trace for people. */
export class PolicyInputError extends Error {
  readonly code = 'PolicyInput';
}

const shown = (value: unknown) => JSON.stringify(value) ?? String(value);
const fits = (setting: Setting, value: unknown) => z.fromJSONSchema(setting as never).safeParse(value).success;

function issuesOf(name: string, given: unknown): string[] {
  const rule = rules.find((one) => one.name === name);
  if (!rule) return [`${name} is no policy; known are ${rules.map((one) => one.name).join(', ')}`];
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    return [`${name} is ${shown(given)}; allowed is an object with the settings of this policy`];
  }
  const schema = settingsSchema(rule);
  return Object.entries(given).flatMap(([key, value]) => {
    const setting = schema[key];
    if (key === 'enforcementLevel') return levelIssue(rule, value);
    if (!setting) return [`${name}.${key} is no setting; known are ${Object.keys(schema).join(', ')}`];
    return fits(setting, value) ? [] : [`${name}.${key} is ${shown(value)}; allowed is ${setting.description}`];
  });
}

const levelIssue = (rule: Rule, value: unknown) =>
  value === (rule.level ?? 'mandatory')
    ? []
    : [
        `${rule.name}.enforcementLevel is ${shown(value)}; allowed is "${rule.level ?? 'mandatory'}": a profile does not weaken`,
      ];

/**
 * @param given the parsed settings file; `{}` for the defaults.
 * @param source what to call it in errors.
 * @throws PolicyInputError with a line for every issue.
 */
export function parseSettings(given: unknown, source = 'policy settings'): Settings {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new PolicyInputError(`${source}: is ${shown(given)}; allowed is an object of policy → settings`);
  }
  const issues = Object.entries(given).flatMap(([name, value]) => issuesOf(name, value));
  if (issues.length > 0) throw new PolicyInputError(issues.map((issue) => `${source}: ${issue}`).join('\n'));
  const values = given as Record<string, Record<string, unknown> | undefined>;
  return Object.fromEntries(
    rules.map((rule) => {
      const defaults = Object.entries(settingsSchema(rule)).map(([key, setting]) => [key, setting.default]);
      return [rule.name, { ...Object.fromEntries(defaults), ...values[rule.name] }];
    }),
  );
}

/** @throws PolicyInputError when the file can't be read or is no JSON. */
export function readJson(file: string): unknown {
  try {
    return JSON.parse(fs.readFileSync(file === '-' ? 0 : file, 'utf8'));
  } catch (cause) {
    throw new PolicyInputError(`${file}: ${(cause as Error).message.split('\n')[0]}`, { cause });
  }
}

/** @throws PolicyInputError */
export const readSettings = (file: string): Settings => parseSettings(readJson(file), file);

/**
 * @param folder where the profiles are: `policies/profiles`.
 * @returns the settings of a profile by its name (`moodtalk`).
 * @throws PolicyInputError when there is none of this name.
 */
export function readProfile(name: string, folder: string): Settings {
  const known = fs
    .readdirSync(folder)
    .flatMap((file) => (file.endsWith('.json') ? [file.slice(0, -'.json'.length)] : []));
  if (!known.includes(name))
    throw new PolicyInputError(`profile ${shown(name)} is unknown; known are ${known.join(', ')}`);
  return readSettings(path.join(folder, `${name}.json`));
}
