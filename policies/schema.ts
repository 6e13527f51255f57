/** The settings that a rule takes, as JSON Schema: its own, and the plan's clause that every rule can carry. */
import type { Rule, Setting } from './rule';

export const settingsSchema = (rule: Rule): Readonly<Record<string, Setting>> => ({
  ...rule.settings,
  clause: { type: 'string', default: '', description: "a text: the recovery plan's clause that the rule serves" },
});
