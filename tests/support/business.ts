/** A business on a whole sandbox with its backups configured: its people, their commands, and what the world sees of it. */
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { expect } from 'chai';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { identitiesOf, type Identities } from '../../adapters/backup/seal';
import type { SiteOutputs } from '../../config/outputs';
import { exitCodes as exits } from '../../failover/errors';
import { Gateway } from '../adapters/backup/gateway';
import { QueryApi } from '../adapters/backup/queryApi';
import { runStandby } from '../chaos/harness/command';
import { until } from '../chaos/harness/kit';
import { cloudflare } from '../chaos/harness/state';
import { ChaosWorld } from '../chaos/harness/world';

/** One line of `standby … --json`. */
export type Event = Readonly<Record<string, unknown>> & { readonly code: string };

export const bookings = 3_000;
/** Server that PROD was built with. */
export const prod = 'psql-moodtalk-prod';
export const minuteMs = 60_000;

const hosts = ['admin', 'api', 'id', 'static', 'survey'] as const;
/** What `answers` gives when all of them are answered from one site. */
export const everywhere = (site: 'prod' | 'intg') => Object.fromEntries(hosts.map((host) => [host, site]));

export const all = <T>(events: readonly Event[], code: string) =>
  events.filter((event) => event.code === code) as unknown as T[];

export function one<T>(events: readonly Event[], code: string): T {
  const found = all<T>(events, code);
  expect(found, `${code} in ${events.map((event) => event.code).join()}`).to.have.length(1);
  return found[0] as T;
}

type Snapshot = 'plain' | 'backups' | 'taken';

export class Business {
  /** Worlds are dear: all files share one, which goes when mocha ends. STANDBY_CHAOS_HOME keeps it. */
  readonly world = new ChaosWorld(252, process.env['STANDBY_CHAOS_HOME']);
  readonly gateway = new Gateway();
  readonly logs: QueryApi;
  /** Folder of what lives and ends with the world. */
  readonly run: string;
  site!: SiteOutputs;
  private started: Promise<void> | undefined;
  /** What the world was just rewound to. */
  private untouched: Snapshot | undefined;

  constructor() {
    const { outside, folders } = this.world.modules.world;
    this.logs = new QueryApi(outside.range.replace(/\d+\/\d+$/, '60'));
    this.run = folders.run;
  }

  /** Builds what is not there yet, and starts what it has at other providers. */
  start(): Promise<void> {
    return (this.started ??= this.build());
  }

  private async build(): Promise<void> {
    const { world, gateway, logs } = this;
    await logs.listen();
    if (!world.hasKept('plain')) {
      await world.startAnew();
      await world.build();
      await world.sandbox('keep', 'plain');
    }
    if (!world.hasKept('backups')) {
      await this.rewind('plain');
      await this.fill();
      await this.configureBackups();
      await world.update('failover');
      await world.sandbox('keep', 'backups');
    }
    const { issue, authorityFile } = world.modules.authority;
    if (!fs.existsSync(authorityFile)) {
      await this.rewind('backups');
      this.untouched = 'backups';
    }
    const certificate = await issue(['localhost']);
    const files = { cert: path.join(world.home, 'offsite.pem'), key: path.join(world.home, 'offsite.key') };
    fs.writeFileSync(files.cert, certificate.cert);
    fs.writeFileSync(files.key, certificate.key, { mode: 0o600 });
    await gateway.start(files, fs.readFileSync(authorityFile, 'utf8'));
  }

  async rewind(name: Snapshot): Promise<void> {
    const { world, untouched } = this;
    this.untouched = undefined;
    if (untouched === name) return;
    await world.rewind(name);
    await until('every instance is ready', () => world.ready(), 15 * minuteMs);
    this.site = await this.siteOutputs('prod');
  }

  /** A world with backups in PROD's vault, which is in INTG's region, that a restore has proved. */
  async rewindToTaken(): Promise<void> {
    if (!this.world.hasKept('taken')) {
      await this.rewind('backups');
      await this.standby(['backup', 'run']);
      await this.standby(['backup', 'verify']);
      await this.standby(['estate', 'run', 'identity']);
      await this.world.sandbox('keep', 'taken');
    }
    await this.rewind('taken');
  }

  async siteOutputs(name: 'prod' | 'intg'): Promise<SiteOutputs> {
    return JSON.parse(await this.world.pulumi(name, 'stack', 'output', 'site', '--json')) as SiteOutputs;
  }

  /** What the business holds, and a record that no failover moves. */
  private async fill(): Promise<void> {
    await this.sql(`SET ROLE moodtalk_owner; CREATE TABLE bookings (id int PRIMARY KEY, tenant text, what text);
      INSERT INTO bookings SELECT n, 't' || n % 3, 'booking ' || n FROM generate_series(1, ${bookings}) n`);
    await until('a write', async () => (await this.write()) === 201, 5 * minuteMs);
    const [zone] = await cloudflare<{ id: string }[]>(this.world, '/zones?name=moodtalk.ch');
    const record = { type: 'TXT', name: 'moodtalk.ch', content: '"v=spf1 -all"', ttl: 300 };
    await cloudflare(this.world, `/zones/${zone?.id}/dns_records`, 'POST', record);
  }

  private async configureBackups(): Promise<void> {
    const keys = [await generateX25519Identity(), await generateX25519Identity()] as const;
    for (const [index, which] of (['first', 'second'] as const).entries())
      fs.writeFileSync(this.keyFile(which), `${keys[index]}\n`, { mode: 0o600 });
    const { from, mirror } = await this.makeRepositories();
    const { database } = this.site.database;
    const at = 'backup.databases[0]';
    await this.world.configure({
      'documents.retentionDays': 30,
      'backup.recoveryPointMinutes': 60,
      'backup.recipients[0]': await identityToRecipient(keys[0]),
      'backup.recipients[1]': await identityToRecipient(keys[1]),
      [`${at}.name`]: database,
      [`${at}.assertions[0].name`]: 'bookings are there',
      [`${at}.assertions[0].sql`]: 'SELECT count(*) FROM bookings',
      [`${at}.assertions[0].atLeast`]: bookings,
      'backup.exports[0].name': 'bookings',
      'backup.exports[0].database': database,
      'backup.exports[0].sql': 'SELECT id, tenant, what FROM bookings WHERE tenant = $1 ORDER BY id',
      'backup.estate.variables[0]': 'CLOUDFLARE_API_TOKEN',
      'backup.estate.repositories[0].name': 'platform',
      'backup.estate.repositories[0].from': `file://${from}`,
      'backup.estate.repositories[0].mirror': `file://${mirror}`,
      'backup.vaults.offline.label': 'tape',
    });
  }

  private async makeRepositories(): Promise<{ readonly from: string; readonly mirror: string }> {
    const [from, mirror] = [this.repository, path.join(this.run, 'repositories', 'mirror')];
    const who = ['-c', 'user.name=Eva', '-c', 'user.email=eva@moodtalk.ch'];
    await this.git('init', '--quiet', '--bare', mirror);
    await this.git('init', '--quiet', '--initial-branch=main', from);
    await this.git(...who, '-C', from, 'commit', '--quiet', '--allow-empty', '-m', 'first');
    await this.git('-C', from, 'branch', 'feature');
    await this.git('-C', from, 'tag', 'v1');
    return { from, mirror };
  }

  get repository(): string {
    return path.join(this.run, 'repositories', 'platform');
  }

  async git(...args: readonly string[]): Promise<void> {
    const { code, stderr } = await this.world.command('git', args, {});
    expect(code, stderr).to.equal(0);
  }

  private keyFile = (which: 'first' | 'second') => path.join(this.run, `age-${which}`);

  keys(): Promise<Identities> {
    return identitiesOf([fs.readFileSync(this.keyFile('first'), 'utf8').trim()]);
  }

  /** Runs a command to its end, with nobody there to ask. @returns what it told. */
  async standby(args: readonly string[], code: number = exits.done): Promise<readonly Event[]> {
    const ended = await runStandby(this.world, args, {
      env: {
        ...this.gateway.environment,
        STANDBY_AGE_IDENTITY_FILE: this.keyFile('first'),
        STANDBY_AGE_SECOND_IDENTITY_FILE: this.keyFile('second'),
        STANDBY_LOGS_ENDPOINT: this.logs.endpoint,
      },
    });
    const events = ended.events as unknown as readonly Event[];
    const told = events.filter((event) => !String(event.code).endsWith('Progress'));
    const text = told.map((event) => JSON.stringify(event)).join('\n');
    expect(ended.code, `standby ${args.join(' ')}: ${ended.stderr}${text.slice(-4_000)}`).to.equal(code);
    return events;
  }

  /** Runs one that is refused. @returns the line that it ends with. */
  async refused(args: readonly string[], code: number = exits.refused): Promise<string> {
    return String((await this.standby(args, code)).at(-1)?.['message']);
  }

  /** In the process of somebody outside both sites. */
  async outside(script: string): Promise<string> {
    const { code, stdout, stderr } = await this.world.command(
      process.execPath,
      ['-e', `(async () => {${script}})()`],
      this.world.env,
    );
    expect(code, stderr).to.equal(0);
    return stdout;
  }

  /** @returns the status that a user's write is answered with; 0 when nobody answers. */
  async write(): Promise<number> {
    const status = await this.outside(`
      const body = JSON.stringify({ seq: Math.floor(Math.random() * 1e9) });
      const asked = fetch('https://api.moodtalk.ch/sentinel', { method: 'POST', body });
      console.log((await asked.catch(() => ({ status: 0 }))).status);`);
    return Number(status);
  }

  /** Which site each of the hosts is answered from. */
  async answers(): Promise<Record<string, string>> {
    const found = await this.outside(`
      const ask = async (host) => [host, (await fetch('https://' + host + '.moodtalk.ch/')).headers.get('x-site')];
      console.log(JSON.stringify(Object.fromEntries(await Promise.all(${JSON.stringify(hosts)}.map(ask)))));`);
    return JSON.parse(found) as Record<string, string>;
  }

  /** Asks the applications' database past every fence. */
  sql<Row extends object>(text: string, server = prod): Promise<Row[]> {
    return this.world.sql<Row>(server, text, this.site.database.database);
  }

  async count(what: string, server = prod): Promise<number> {
    const [row] = await this.sql<{ count: string }>(`SELECT count(*) AS count FROM ${what}`, server);
    return Number(row?.count);
  }

  async end(): Promise<void> {
    this.world.heal();
    this.logs.close();
    await this.gateway.remove();
    await this.world.remove();
  }
}

let shared: Business | undefined;
export const theBusiness = (): Business => (shared ??= new Business());
after(function () {
  this.timeout(5 * minuteMs);
  return shared?.end();
});
