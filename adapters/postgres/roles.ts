/** The roles of the epochs on a server: one that owns, one that writes, one that waits, and the closed ones of the past. */
import { escapeIdentifier, escapeLiteral, type Client } from 'pg';
import { epochPassword, epochRole, ownerRole } from '../../config/credentials';
import { scramVerifier } from './scram';

export interface EpochRole {
  readonly name: string;
  readonly epoch: number;
  readonly login: boolean;
  /** Has the owner's rights. */
  readonly member: boolean;
}

/** @returns the roles of all epochs that the server knows, oldest first. */
export async function epochRoles(client: Client, company: string): Promise<EpochRole[]> {
  const prefix = epochRole(company, 0).slice(0, -1);
  const { rows } = await client.query<EpochRole>(
    `SELECT r.rolname AS name, substr(r.rolname, length($1) + 1)::int AS epoch, r.rolcanlogin AS login,
            EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles o ON o.oid = m.roleid
                    WHERE m.member = r.oid AND o.rolname = $2) AS member
     FROM pg_roles r WHERE starts_with(r.rolname, $1) AND substr(r.rolname, length($1) + 1) ~ '^[0-9]{1,9}$'
     ORDER BY epoch`,
    [prefix, ownerRole(company)],
  );
  return rows;
}

/** Takes the right to write, and to log in, from roles; their sessions are another matter. */
export async function closeRoles(client: Client, company: string, roles: readonly EpochRole[]): Promise<void> {
  const owner = escapeIdentifier(ownerRole(company));
  const statements = roles
    .filter((role) => role.login || role.member)
    .map(({ name }) => escapeIdentifier(name))
    .flatMap((name) => [`REVOKE ${owner} FROM ${name}`, `ALTER ROLE ${name} NOLOGIN`]);
  if (statements.length > 0) await client.query(statements.join('; '));
}

/** Makes the role that owns the applications' tables; the administrator is one of its members, to hand tables over. */
export async function makeOwner(client: Client, company: string): Promise<void> {
  const owner = ownerRole(company);
  const { rowCount } = await client.query('SELECT FROM pg_roles WHERE rolname = $1', [owner]);
  if (rowCount === 0) await client.query(`CREATE ROLE ${escapeIdentifier(owner)} NOLOGIN`);
  await client.query(`GRANT ${escapeIdentifier(owner)} TO CURRENT_USER`);
}

/** Makes the role of an epoch, or gives it the password that it should have: until it is admitted it only reads. */
export async function makeReader(client: Client, company: string, epoch: number, secret: string): Promise<void> {
  const name = escapeIdentifier(epochRole(company, epoch));
  const password = escapeLiteral(await scramVerifier(epochPassword(secret, epoch)));
  const { rowCount } = await client.query('SELECT FROM pg_roles WHERE rolname = $1', [epochRole(company, epoch)]);
  const statements = [
    ...(rowCount === 0 ? [`CREATE ROLE ${name} LOGIN`] : []),
    `ALTER ROLE ${name} PASSWORD ${password}`,
    `GRANT pg_read_all_data TO ${name}`,
    // What the role makes while it has not become the owner yet must be handed over one day.
    `GRANT ${name} TO CURRENT_USER`,
  ];
  await client.query(statements.join('; '));
}

/** Gives the right to write: in its open sessions from their next statement on, in new ones as the owner itself. */
export async function openRole(client: Client, company: string, epoch: number): Promise<void> {
  const name = escapeIdentifier(epochRole(company, epoch));
  const owner = escapeIdentifier(ownerRole(company));
  await client.query(`ALTER ROLE ${name} LOGIN; ALTER ROLE ${name} SET role = ${owner}; GRANT ${owner} TO ${name}`);
}
