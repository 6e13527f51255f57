import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Client } from 'pg';
import { identitySet } from '../../../adapters/backup/estate/identity';
import { createThrowAway } from '../../../adapters/backup/throwaway';
import type { ServerTarget } from '../../../adapters/postgres/connection';
import type { EstateFile } from '../../../backup/estate/set';
import type { ThrowAwayServer } from '../../../backup/ports';
import { folders } from '../../../sandbox/world';
import { call } from '../trial/trial';

const faultOf = (act: Promise<unknown>) =>
  act.then(
    () => 'done',
    (cause: { code?: string; message: string }) => `${cause.code}: ${cause.message}`,
  );

describe('adapters/backup/estate: the identity provider', function () {
  this.timeout(120_000);
  const key = randomBytes(64).toString('base64');
  let server: ThrowAwayServer;
  let files: readonly EstateFile[];

  const targetOf = (database: string): ServerTarget => {
    const { host, port, user, password, plain } = server;
    return { host, port, user, password, database, ...(plain ? { plain } : {}) };
  };
  const setOf = (database: string) =>
    identitySet({ environment: process.env, target: targetOf(database), realm: 'moodtalk' });
  async function sql(database: string, text: string, values: unknown[] = []) {
    const client = new Client({ ...targetOf(database) });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(text, values)).rows;
    } finally {
      await client.end();
    }
  }

  before(async () => {
    server = await createThrowAway(process.env, call());
    for (const name of ['keycloak', 'empty', 'other']) await sql('postgres', `CREATE DATABASE ${name}`);
    // The tables of a real identity provider, and the rows that say what it signs with.
    await sql('keycloak', fs.readFileSync(path.join(folders.cache, 'keycloak-schema.sql'), 'utf8'));
    await sql('keycloak', `INSERT INTO realm (id, name, enabled) VALUES ('r1', 'moodtalk', true)`);
    await sql(
      'keycloak',
      `INSERT INTO component (id, name, realm_id, provider_id) VALUES ('c1', 'rsa', 'r1', 'rsa-generated')`,
    );
    await sql(
      'keycloak',
      `INSERT INTO component_config (id, component_id, name, value) VALUES ('p1', 'c1', 'privateKey', $1)`,
      [key],
    );
    await sql(
      'keycloak',
      `INSERT INTO user_entity (id, realm_id, username) VALUES ('u1', 'r1', 'eva'), ('u2', 'r1', 'ida')`,
    );
  });
  after(() => server.remove());

  it('is taken with its signing keys; beside them lie digests alone', async () => {
    files = await setOf('keycloak').collect(call());
    expect(files.map(({ name }) => name)).to.deep.equal(['keycloak.dump', 'facts.json']);
    const facts = files[1]!.bytes.toString();
    expect(JSON.parse(facts)).to.deep.include({
      rows: { realm: 1, client: 0, user_entity: 2, credential: 0, keycloak_role: 0, component_config: 1 },
    });
    expect(facts).not.to.contain(key);
    expect(await setOf('keycloak').compare(files, call())).to.deep.equal([]);
  });

  it('comes back into an empty database, and signs with the same keys', async () => {
    const set = setOf('empty');
    expect((await set.compare(files, call())).map(({ how }) => how)).to.deep.equal(['missing']);
    expect(await set.restore!(files, call())).to.deep.equal(['database empty restored, with its signing keys']);
    expect(await sql('empty', `SELECT value FROM component_config WHERE name = 'privateKey'`)).to.deep.equal([
      { value: key },
    ]);
    expect(await set.restore!(files, call()), 'a second time').to.deep.equal([]);
  });

  it('is as good as it was when people have come in since', async () => {
    await sql('empty', `INSERT INTO user_entity (id, realm_id, username) VALUES ('u3', 'r1', 'new')`);
    expect(await setOf('empty').compare(files, call())).to.deep.equal([
      { what: 'rows of user_entity', how: 'extra', detail: '3 there, 2 in the backup' },
    ]);
    expect(await setOf('empty').restore!(files, call())).to.deep.equal([]);
    await sql('empty', `DELETE FROM user_entity WHERE id = 'u3'`);
  });

  it('says when keys or people are others, and is never put over them', async () => {
    await sql('empty', `UPDATE component_config SET value = 'another'`);
    await sql('empty', `DELETE FROM user_entity WHERE id = 'u2'`);
    const differences = await setOf('empty').compare(files, call());
    expect(differences).to.deep.equal([
      { what: 'signing keys', how: 'different', detail: '1 of 1 are not there' },
      { what: 'rows of user_entity', how: 'different', detail: '1 there, 2 in the backup' },
    ]);
    expect(await faultOf(setOf('empty').restore!(files, call()))).to.match(/^DatabaseNotEmpty: /);
  });

  it('is none without signing keys', async () => {
    await sql('other', fs.readFileSync(path.join(folders.cache, 'keycloak-schema.sql'), 'utf8'));
    expect(await faultOf(setOf('other').collect(call()))).to.match(
      /^NoSigningKeys: database other has no signing keys/,
    );
  });
});
