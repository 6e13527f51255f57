/** What is backed up: the one list that the programs and the documents are made from. */

import type { EstateConfig } from './estate';

export interface DataSetNote {
  /** `database` stands for each database by itself. */
  readonly name: string;
  readonly what: string;
  readonly by: 'backup' | 'estate' | 'store';
  /** What a restore by a program does; absent where it comes back as files alone. */
  readonly live?: string;
}

/** In the order in which a site that is gone would need them. */
export const dataSetNotes = [
  {
    name: 'database',
    what: 'each database of the server that has the business, by `pg_dump`; beside it the server’s own point-in-time backups',
    by: 'backup',
    live: 'into a new server, never over a live one; single tables beside production',
  },
  {
    name: 'secrets',
    what: 'what the stacks keep for both sites, and the variables that `standby:backup.estate.variables` names',
    by: 'estate',
  },
  {
    name: 'state',
    what: 'Pulumi’s state of the three stacks, secrets sealed by each stack’s own provider',
    by: 'estate',
    live: 'into stacks that know nothing',
  },
  {
    name: 'journal',
    what: 'the record of every run, of all machines',
    by: 'estate',
    live: 'on this machine and in the store; runs that are there go on where they are',
  },
  {
    name: 'source',
    what: 'every branch and tag of `standby:backup.estate.repositories`, as a bundle and in a second remote',
    by: 'estate',
    live: 'into both remotes, what they lack; nothing is rewound',
  },
  { name: 'images', what: 'digests of what runs, asked for at their registries', by: 'estate' },
  {
    name: 'names',
    what: 'the public zone at Cloudflare as a zone file (BIND) and JSON, its rulesets, both private zones',
    by: 'estate',
    live: 'what is different; hosts that a failover moved stay where they lead',
  },
  {
    name: 'identity',
    what: 'the identity provider’s database with its signing keys; the realm’s own export where KEYCLOAK_HOME is set',
    by: 'estate',
    live: 'into an empty database',
  },
  {
    name: 'monitoring',
    what: 'both sites’ workspaces, people who are told, alerts, diagnostic settings',
    by: 'estate',
    live: 'what is missing or different',
  },
  { name: 'logs', what: 'rows of both sites’ workspaces since the last copy', by: 'estate' },
  {
    name: 'documents',
    what: 'versioned and read-only in their own store: every version of each for its time',
    by: 'store',
    live: 'that version becomes the newest; the others stay',
  },
] as const satisfies readonly DataSetNote[];

type Note = (typeof dataSetNotes)[number];
export type EstateName = Extract<Note, { readonly by: 'estate' }>['name'];
export const estateNames = dataSetNotes.filter(({ by }) => by === 'estate').map(({ name }) => name) as EstateName[];

/** What there is to take: no source where no repository is named. */
export const estateWanted = ({ repositories }: Pick<EstateConfig, 'repositories'>): EstateName[] =>
  estateNames.filter((name) => name !== 'source' || repositories.length > 0);
