/** What a failover needs besides databases: which repositories, which secrets, for how long the logs. */
import { z } from 'zod';
import * as f from './fields';

/** A secret in an address would be in the configuration, in process lists and in reports. */
const remote = (description: string) =>
  f.text(/^(https:\/\/[^@\s]+|ssh:\/\/[^:@\s]+@[^\s]+|[\w.-]+@[\w.-]+:[^\s]+|\/[^\s]+|file:\/\/\/[^\s]+)$/, {
    description,
    allowed: 'an address that git takes, without a password in it',
    fix: "write the address alone: git's credential helper has the rest",
  });

const repositorySchema = z.strictObject({
  name: f.text(/^[a-z0-9][a-z0-9._-]{0,62}$/, {
    description: 'Name of the repository in the backup.',
    allowed: 'lower-case letters, digits, dots, hyphens and underscores',
    fix: 'write a name such as platform',
  }),
  from: remote('Where the work is done.'),
  mirror: remote('Second remote, at another provider: it gets every branch and tag, and is never rewound.'),
});

const documentsSchema = z.strictObject({
  endpoint: f.field(z.url({ protocol: /^https?$/ }), {
    description: 'Address of the blob service of the store of documents.',
    allowed: 'an address such as https://stmoodtalkdocuments.blob.core.windows.net/',
    fix: 'write the address with a slash at its end',
  }),
  container: f.text(/^[a-z0-9](-?[a-z0-9]){2,62}$/, {
    description: 'Container in it.',
    allowed: '3 to 63 lower-case letters, digits and hyphens',
    fix: 'write the name of the container',
  }),
});

export const estateSchema = z.strictObject({
  everyHours: f.whole(1, 168, 'Hours between two backups of everything besides the databases.', 24),
  repositories: f.field(z.array(repositorySchema).max(50).default([]), {
    description: 'Source code.',
    allowed: 'a list of repositories, each with name, from and mirror',
  }),
  variables: f.field(
    z
      .array(z.string().regex(/^[A-Z_][A-Z0-9_]{0,99}$/))
      .max(200)
      .default([]),
    {
      description:
        'Variables of the process whose values are secrets that a failover needs; sealed with those of the stacks.',
      allowed: 'a list of names such as CLOUDFLARE_API_TOKEN; never a value',
    },
  ),
  documents: f.field(documentsSchema.optional(), {
    description:
      'Versioned, read-only store of documents, where it is another one than that of the stack (`documents`).',
    allowed: 'endpoint, container',
  }),
  logsDays: f.whole(90, 3650, 'Days that the copy of the logs is kept, where nobody can change it.', 92),
});
export type EstateConfig = z.infer<typeof estateSchema>;
export type Repository = EstateConfig['repositories'][number];
