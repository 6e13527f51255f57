/** The configuration's published form: a JSON Schema for machines, a table for people. Both come from the schemas alone. */
import { z } from 'zod';
import { environmentSchema } from './environment';
import { failoverSchema } from './failover';
import { project } from './loader';

interface Node {
  readonly type?: string;
  readonly description?: string;
  readonly allowed?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly items?: Node;
}

const describe = (schema: z.ZodType) => z.toJSONSchema(schema, { io: 'input', reused: 'inline' }) as unknown as Node;

/** The words for people are no part of JSON Schema. */
function stripped(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(stripped);
  if (typeof value !== 'object' || value === null) return value;
  const own = Object.entries(value).filter(
    ([key, item]) => !((key === 'allowed' || key === 'fix') && typeof item === 'string'),
  );
  return Object.fromEntries(own.map(([key, item]) => [key, stripped(item)]));
}

/** @returns the JSON Schema of the `config` of the stack files, keys as they stand there (`standby:region`). */
export function jsonSchema(): object {
  const stack = (title: string, schema: z.ZodType) => {
    const { properties, required, ...rest } = stripped(describe(schema)) as Node & { $schema?: string };
    delete rest.$schema;
    return {
      title,
      ...rest,
      properties: Object.fromEntries(
        Object.entries(properties ?? {}).map(([key, node]) => [`${project}:${key}`, node]),
      ),
      required: (required ?? []).map((key) => `${project}:${key}`),
      // Keys of other namespaces belong to the providers.
      patternProperties: { [`^(?!${project}:)`]: true },
    };
  };
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Standby: configuration of a stack',
    type: 'object',
    properties: {
      config: {
        anyOf: [
          stack('Pulumi.prod.yaml, Pulumi.intg.yaml', environmentSchema),
          stack('Pulumi.failover.yaml', failoverSchema),
        ],
      },
    },
  };
}

interface Row {
  readonly key: string;
  readonly node: Node;
  readonly required: boolean;
}

/** Depth first; a group of keys is a row of its own only when it may be left out as a whole. */
function rows(node: Node, prefix: string): Row[] {
  return Object.entries(node.properties ?? {}).flatMap(([name, child]) => {
    const key = `${prefix}${name}`;
    const required = (node.required ?? []).includes(name);
    const own: Row = { key, node: child, required };
    if (child.properties) {
      const whole = required || child.default !== undefined ? [] : [own];
      return [...whole, ...rows(child, `${key}.`)];
    }
    return child.items?.properties ? [own, ...rows(child.items, `${key}[].`)] : [own];
  });
}

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const fallback = ({ node, required }: Row) =>
  required ? 'required' : node.default === undefined ? 'not set' : `\`${JSON.stringify(node.default)}\``;

const table = (schema: z.ZodType) =>
  [
    '| key | what | allowed | default |',
    '| --- | --- | --- | --- |',
    ...rows(describe(schema), '').map(
      (row) =>
        `| \`${row.key}\` | ${cell(row.node.description ?? '')} | ${cell(row.node.allowed ?? '')} | ${cell(fallback(row))} |`,
    ),
  ].join('\n');

export function markdown(): string {
  return `# Configuration

Made by \`npm run docs:configuration\` from the schemas in \`config/\`; the same as JSON Schema is in
[configuration.schema.json](configuration.schema.json). Every key is in the namespace \`${project}:\`. A key that is not here is refused.
A value that is refused is named with what it is, what is allowed and what to do; all of them at once, before anything is touched.

\`pulumi config set --stack failover --path '${project}:recoveries[0].site' intg\` sets a key inside another.

## A site: Pulumi.prod.yaml, Pulumi.intg.yaml

${table(environmentSchema)}

## The switch: Pulumi.failover.yaml

${table(failoverSchema)}

Refused in combination, with the reason:

- \`activeSite\` at what is \`unreachable\`, or \`database\` or \`identity\` on a server there
- \`activeSite: prod\` with \`database\` or \`identity\` \`restored\`
- \`restored\` without a recovery at intg
- work on a replica that is not \`promoted\`; a \`promoted\` replica that nobody works on
- a recovery from an unknown or younger server, from one at the same site, by geo-restore from a server that came as a replica,
  from a replica that is not promoted
- a recovery by import without the backups that it is filled from, another one with them
- a point-in-time restore without its moment, or at another site than its source
- a recovery made at an unreachable site, or streamed from one
- recoveries whose epochs do not ascend, or exceed \`epoch\`
- going back behind a restored server whose rows no later server carries on, unless they are \`abandoned\` with a reason
- \`stage\` other than complete in epoch 1
- a host outside the zone
- \`backup\` with a recipient or a database named twice, an assertion without exactly one of \`atLeast\` and \`equals\`, an export
  from a database that is not taken, or \`recoveryPointMinutes\` shorter than the time between two backups
- \`backup.vaults.offsite.account\` with another endpoint than that account's, or with a lock of each object
- \`backup.schedule.jobs\` in the namespace of the applications, or with hours between two backups that don't divide the day
`;
}
