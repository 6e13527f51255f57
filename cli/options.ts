/** Options that several commands have, checked while they are parsed. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { sites, type Site } from '../config/fields';
import { choices, type Choice } from '../failover/model';

export function parseSite(text: string): Site {
  const site = sites.find((name) => name === text);
  if (!site) throw new InvalidArgumentError(`allowed are ${sites.join(', ')}.`);
  return site;
}

function parseChoice(text: string): Choice {
  const choice = (Object.keys(choices) as Choice[]).find((name) => name === text);
  if (!choice) throw new InvalidArgumentError(`allowed are ${Object.keys(choices).join(', ')}.`);
  return choice;
}

/** Long enough to mean something to whoever reads it afterwards. */
export function parseReason(text: string): string {
  if (text.trim().length < 10) throw new InvalidArgumentError('say why in 10 characters or more: it stays on record.');
  return text.trim();
}

export interface WishOptions {
  readonly from?: Site;
  readonly to?: Site;
  readonly database?: Choice;
  readonly prodIsLost?: string;
  readonly intgIsLost?: string;
  readonly acceptLoss?: true;
  readonly manyNames?: true;
}

export interface RunOptions {
  readonly json?: true;
  readonly yes?: true;
  readonly dryRun?: true;
  readonly plan?: string;
  readonly save?: string;
}

const database = () =>
  new Option(
    '--database <choice>',
    'prod: work on the database in use (1a); replica: promote the replica (1c); restored: restore Azure’s own last backup (1b); imported: import the newest kept backup that verified (1b); default: what loses least',
  ).argParser(parseChoice);

export const withFrom = (command: Command): Command =>
  command.option('--from <site>', 'site that the business runs on now: refused when it is another one', parseSite);
export const withTo = (command: Command): Command =>
  command.option('--to <site>', 'site that takes over (default: the other one)', parseSite);
export const withFailover = (command: Command): Command =>
  command
    .addOption(database())
    .option('--prod-is-lost <reason>', 'your word that nobody can reach PROD, and why', parseReason)
    .option('--intg-is-lost <reason>', 'your word that nobody can reach INTG, and why', parseReason);
export const withLoss = (command: Command): Command =>
  command.option('--accept-loss', 'your word that committed rows may be lost');
export const withNames = (command: Command): Command =>
  command.option('--many-names', 'move more records of the zone than is usual');
export const withJson = (command: Command): Command => command.option('--json', 'typed JSON, one value a line');
export const withRun = (command: Command): Command =>
  withJson(command)
    .option('--yes', 'do not ask')
    .option('--dry-run', 'print the plan, change nothing')
    .option('--plan <file>', 'carry out a plan that was saved: refused when the world has changed since')
    .option('--save <file>', 'write the plan to a file');
