import { expect } from 'chai';
import { Client } from 'pg';
import { admit, fence, readServer, tryWrite } from '../../adapters/postgres/admission';
import { StandbyError } from '../../failover/errors';
import { until, TestWorld } from '../kubernetes/world';
import { refusal, TestServer } from './postgres';

const patience = () => AbortSignal.timeout(30_000);
const codeOf = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => 'done',
    (cause: unknown) => (cause instanceof StandbyError ? cause.code : String(cause)),
  );

describe('adapters: admission of epochs to a server', function () {
  this.timeout(90_000);
  const world = new TestWorld(211);
  const servers: TestServer[] = [];
  const sessions: Client[] = [];
  let server: TestServer;

  async function make(name: string): Promise<TestServer> {
    const made = new TestServer(world, name, servers.length);
    servers.push(made);
    return made;
  }
  async function session(epoch?: number, from = server, database?: string): Promise<Client> {
    const client = await from.session(epoch, database);
    sessions.push(client);
    return client;
  }
  const rows = (text: string, from = server) => from.sql(text, 'shop');

  before(async () => {
    await world.modules.authority.createAuthority();
    server = await make('psql-first');
    await server.create();
  });
  afterEach(async () => {
    await Promise.all(sessions.splice(0).map((client) => client.end().catch(() => undefined)));
  });
  after(() => world.remove());

  it('admits an epoch to tables that an administrator who is no superuser had made, of every kind', async () => {
    const administrator = await session();
    await administrator.query(`
      CREATE TABLE flights (id bigserial PRIMARY KEY, n int);
      CREATE SEQUENCE numbers; CREATE VIEW late AS SELECT * FROM flights; CREATE TYPE mood AS ENUM ('good');
      CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE SCHEMA extra; CREATE TABLE extra.t (n int)`);
    await admit(server.target, 1, patience());
    const strangers = await rows(`
      SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE nspname IN ('public', 'extra', 'standby_plan') AND relkind IN ('r', 'S', 'v') AND pg_get_userbyid(relowner) <> 'acme_owner'
      UNION ALL SELECT proname FROM pg_proc WHERE proname = 'one' AND pg_get_userbyid(proowner) <> 'acme_owner'
      UNION ALL SELECT typname FROM pg_type WHERE typname = 'mood' AND pg_get_userbyid(typowner) <> 'acme_owner'`);
    expect(strangers).to.deep.equal([]);
    const application = await session(1);
    await application.query('INSERT INTO flights (n) VALUES (1); ALTER TABLE flights ADD COLUMN late int');
    await application.query('INSERT INTO extra.t VALUES (nextval($1))', ['numbers']);
    expect(await tryWrite(server.target, 1, patience())).to.include({ accepted: true });
    const { role, writable, token } = await readServer(server.target, patience());
    expect({ role, writable, token }).to.deep.equal({
      role: 'primary',
      writable: true,
      token: { epoch: 1, open: true },
    });
  });

  it('changes nothing when it is done again', async () => {
    const state = () =>
      rows(`SELECT (SELECT json_agg(r ORDER BY r) FROM (SELECT rolname, rolcanlogin FROM pg_roles) r)::text AS roles,
              (SELECT json_agg(m ORDER BY m) FROM (SELECT roleid::regrole, member::regrole FROM pg_auth_members) m)::text AS members,
              (SELECT json_agg(c ORDER BY c) FROM (SELECT relname, relowner, relacl FROM pg_class) c)::text AS tables`);
    const before = await state();
    await admit(server.target, 1, patience());
    expect(await state()).to.deep.equal(before);
  });

  it('lets the next epoch read and not write, and makes it a writer in the sessions that it has', async () => {
    const prepared = await session(2);
    expect((await prepared.query('SELECT n FROM flights')).rows).to.deep.equal([{ n: 1 }]);
    expect(await refusal(prepared.query('INSERT INTO flights (n) VALUES (2)'))).to.equal('42501');
    expect(await refusal(prepared.query('CREATE TABLE mine (n int)'))).to.equal('42501');
    expect((await tryWrite(server.target, 2, patience())).accepted).to.be.false;

    await admit(server.target, 2, patience());
    await prepared.query('INSERT INTO flights (n) VALUES (2)');
    await prepared.query('CREATE TABLE mine (n int)');
    const fresh = await session(2);
    await fresh.query('INSERT INTO mine VALUES (1)');
    expect(await tryWrite(server.target, 1, patience())).to.deep.equal({
      accepted: false,
      answer: 'role "acme_e1" is not permitted to log in',
    });
    expect(await codeOf(admit(server.target, 1, patience()))).to.equal('StaleEpoch');
  });

  it('cuts sessions of the epoch with their long transactions, and no others', async () => {
    const [busy, idle, reader] = [await session(2), await session(2), await session()];
    await busy.query('BEGIN; INSERT INTO flights (n) VALUES (77)');
    const endless = refusal(idle.query('INSERT INTO flights SELECT 78 FROM pg_sleep(300)'));
    await until(
      'the statement runs',
      async () =>
        (await rows("SELECT FROM pg_stat_activity WHERE query ~ '300' AND usename = 'acme_e2'")).length > 0 ||
        undefined,
    );
    const keycloak = await session(undefined, server, 'keycloak');
    const { cut } = await fence(server.target, 2, false, patience());
    expect(cut).to.equal(2);
    expect(await endless).to.equal('57P01');
    expect(await refusal(busy.query('COMMIT'))).not.to.equal('accepted');
    expect(await refusal(session(2))).to.equal('28000');
    expect((await reader.query('SELECT n FROM flights ORDER BY n')).rows).to.deep.equal([{ n: 1 }, { n: 2 }]);
    expect(await refusal(keycloak.query('SELECT 1'))).to.equal('accepted');
    expect((await readServer(server.target, patience())).token).to.deep.equal({ epoch: 2, open: false });
  });

  it('closes the identity provider with it where asked, and opens both again for the same epoch', async () => {
    // The vendor's own session comes first in the list: it stays, and keeps none of the others.
    const vendor = await server.vendor('keycloak');
    sessions.push(vendor);
    const keycloak = await session(undefined, server, 'keycloak');
    expect(await fence(server.target, 2, true, patience())).to.deep.equal({ cut: 1 });
    expect(await refusal(vendor.query('SELECT 1'))).to.equal('accepted');
    expect(await refusal(keycloak.query('SELECT 1'))).not.to.equal('accepted');
    expect(await refusal(session(undefined, server, 'keycloak'))).to.equal('53300');
    await admit(server.target, 2, patience());
    await session(undefined, server, 'keycloak');
    expect((await tryWrite(server.target, 2, patience())).accepted).to.be.true;
  });

  it('takes no write of the old epoch while and after a later one is admitted', async () => {
    let accepted = 0;
    let last = '';
    let going = true;
    const writer = (async () => {
      while (going) {
        const client = await server.session(2).catch((cause: Error) => void (last = cause.message));
        if (!client) continue;
        while (going && (await client.query('INSERT INTO flights (n) VALUES (100)').then(Boolean, () => false)))
          accepted += 1;
        await client.end().catch(() => undefined);
      }
    })();
    let atAdmission: unknown;
    try {
      await until('it writes', () => accepted > 20 || undefined);
      await admit(server.target, 3, patience());
      atAdmission = (await rows('SELECT count(*)::int AS n FROM flights WHERE n = 100'))[0]?.['n'];
      await until('it is refused', () => /not permitted to log in/.test(last) || undefined);
    } finally {
      going = false;
      await writer;
    }
    expect((await rows('SELECT count(*)::int AS n FROM flights WHERE n = 100'))[0]?.['n']).to.equal(atAdmission);
  });

  it('leaves a later epoch alone, identity provider included, when an earlier one is fenced', async () => {
    const later = await session(3);
    await fence(server.target, 2, true, patience());
    await later.query('INSERT INTO flights (n) VALUES (3)');
    await session(undefined, server, 'keycloak');
    expect((await readServer(server.target, patience())).token).to.deep.equal({ epoch: 3, open: true });
  });

  it('works on a server that is read-only by default, and says that it is', async () => {
    await server.sql('ALTER SYSTEM SET default_transaction_read_only = on');
    await server.sql('SELECT pg_reload_conf()');
    try {
      await until('it is read-only', async () => !(await readServer(server.target, patience())).writable || undefined);
      expect(await tryWrite(server.target, 3, patience())).to.deep.equal({
        accepted: false,
        answer: 'cannot execute INSERT in a read-only transaction',
      });
      await fence(server.target, 3, true, patience());
      await admit(server.target, 3, patience());
    } finally {
      await server.sql('ALTER SYSTEM RESET default_transaction_read_only');
      await server.sql('SELECT pg_reload_conf()');
    }
  });

  it('comes to the same end after it was cut off at any statement', async () => {
    const original = Reflect.get(Client.prototype, 'query') as (...args: unknown[]) => unknown;
    let statements = 0;
    let stopAt = Infinity;
    Client.prototype.query = function (this: Client, ...args: unknown[]) {
      statements += 1;
      if (statements > stopAt) this.connection.stream.destroy();
      return original.apply(this, args);
    } as never;
    let epoch = 3;
    try {
      statements = 0;
      await admit(server.target, (epoch += 1), patience());
      const whole = statements;
      for (let cut = 1; cut < whole; cut += 3) {
        [statements, stopAt] = [0, cut];
        epoch += 1;
        expect(await codeOf(admit(server.target, epoch, patience())), `cut off after ${cut}`).to.equal(
          'DatabaseUnreachable',
        );
        stopAt = Infinity;
        await fence(server.target, epoch - 1, true, patience());
        await admit(server.target, epoch, patience());
        const { token } = await readServer(server.target, patience());
        expect(token).to.deep.equal({ epoch, open: true });
      }
    } finally {
      Client.prototype.query = original as never;
    }
    expect((await tryWrite(server.target, epoch, patience())).accepted).to.be.true;
    expect((await tryWrite(server.target, epoch - 1, patience())).accepted).to.be.false;
    const open = await rows("SELECT rolname FROM pg_roles WHERE rolname ~ '^acme_e' AND rolcanlogin ORDER BY oid");
    expect(open.map((row) => row['rolname'])).to.deep.equal([`acme_e${epoch}`, `acme_e${epoch + 1}`]);
  });

  it('admits one epoch when several are admitted and fenced at once', async () => {
    const before = (await readServer(server.target, patience())).token?.epoch ?? 0;
    const epochs = [before + 1, before + 2, before + 3];
    const again = async (epoch: number): Promise<string> => {
      for (;;) {
        const code = await codeOf(admit(server.target, epoch, patience()));
        if (code !== 'DatabaseRefused' && code !== 'AdmissionContended') return code;
      }
    };
    await Promise.all([...epochs.map(again), fence(server.target, before, true, patience())]);
    await again(before + 3);
    expect((await readServer(server.target, patience())).token).to.deep.equal({ epoch: before + 3, open: true });
    const writes = await Promise.all([before, ...epochs].map((epoch) => tryWrite(server.target, epoch, patience())));
    expect(writes.map((write) => write.accepted)).to.deep.equal([false, false, false, true]);
  });

  it('does not wait behind an admission that hangs', async () => {
    const { token } = await readServer(server.target, patience());
    const hung = await session(undefined, server, 'postgres');
    await hung.query('BEGIN');
    await hung.query('SELECT pg_advisory_xact_lock(7204622)');
    await fence(server.target, token?.epoch ?? 0, false, patience());
    expect((await tryWrite(server.target, token?.epoch ?? 0, patience())).accepted).to.be.false;
  });

  it('takes the fence to a replica, which is opened by the next epoch after its promotion', async () => {
    const { token } = await readServer(server.target, patience());
    const epoch = token?.epoch ?? 0;
    await admit(server.target, epoch, patience());
    const replica = await make('psql-replica');
    await replica.follow(server);
    const prepared = await session(epoch + 1, replica);
    await fence(server.target, epoch, true, patience());
    const { position } = await readServer(server.target, patience());
    await until('the replica has the fence', async () => {
      const [row] = await replica.sql(`SELECT pg_last_wal_replay_lsn() >= '${position}' AS done`);
      return row?.['done'] === true || undefined;
    });
    const reading = await readServer(replica.target, patience());
    expect(reading).to.include({ role: 'replica', writable: false, streaming: true, lagSeconds: 0 });

    // A source that falls silent: nothing here notices yet, and what it commits meanwhile is missed by nobody.
    const [sender] = await server.sql('SELECT pid FROM pg_stat_replication');
    process.kill(Number(sender?.['pid']), 'SIGSTOP');
    const committedAt = Date.now();
    await server.sql('CREATE TABLE unseen ()');
    await until('the replica admits what it may lack', async () => {
      const { streaming, lagSeconds, mayLackSeconds = 0 } = await readServer(replica.target, patience());
      expect({ streaming, lagSeconds }).to.deep.equal({ streaming: true, lagSeconds: 0 });
      expect(mayLackSeconds).to.be.at.least((Date.now() - committedAt) / 1000 - 1);
      return mayLackSeconds > 2 || undefined;
    });
    process.kill(Number(sender?.['pid']), 'SIGCONT');

    expect(await codeOf(admit(replica.target, epoch + 1, patience()))).to.equal('ServerIsReplica');
    expect(await refusal(session(epoch, replica))).to.equal('28000');

    await replica.promote();
    expect((await tryWrite(replica.target, epoch, patience())).accepted).to.be.false;
    expect(await refusal(session(undefined, replica, 'keycloak'))).to.equal('53300');
    await admit(replica.target, epoch + 1, patience());
    await prepared.query('INSERT INTO flights (n) VALUES (4)');
    expect((await tryWrite(replica.target, epoch + 1, patience())).accepted).to.be.true;
    await session(undefined, replica, 'keycloak');
    expect((await tryWrite(server.target, epoch + 1, patience())).accepted, 'on the server that was left').to.be.false;
  });

  it('does not take a wrong password or a server that says nothing for a fence', async () => {
    const { token } = await readServer(server.target, patience());
    await admit(server.target, token?.epoch ?? 0, patience());
    await server.sql(`ALTER ROLE acme_e${token?.epoch} PASSWORD 'another'`);
    expect(await codeOf(tryWrite(server.target, token?.epoch ?? 0, patience()))).to.equal('NoProof');
    const nowhere = { ...server.target, port: 5999 };
    expect(await codeOf(tryWrite(nowhere, 1, patience()))).to.equal('DatabaseUnreachable');
    const stranger = { ...server.target, ca: '' };
    expect(await codeOf(readServer(stranger, patience())), 'a certificate that nobody vouches for').to.equal(
      'DatabaseUnreachable',
    );
  });

  it('gives up at once when it is told to', async () => {
    const controller = new AbortController();
    await server.sql('BEGIN'); // warm
    const blocker = await session(undefined, server, 'postgres');
    await blocker.query('BEGIN');
    await blocker.query('SELECT pg_advisory_xact_lock(7204622)');
    const attempt = refusal(admit(server.target, 1_000, controller.signal));
    controller.abort(new Error('enough'));
    expect(await attempt).to.equal('enough');
  });
});
