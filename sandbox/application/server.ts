/**
 * The reference application: one small server that plays admin, api, id, static or survey (variable APP). Every answer
 * says in its headers which site, release and epoch it comes from.
 */
import { assetHandlers } from './assets';
import { Database } from './database';
import { apiHandlers, apiTables } from './flights';
import { escapeHtml, type Fault, json, page, serve, wantsHtml, type Handlers, type Request } from './http';
import { Login } from './login';
import { readLoginSettings, readSettings, type App, type Settings } from './settings';
import { surveyHandlers, surveyTables } from './survey';

const goodbyeMs = 800;

interface Parts {
  readonly database?: Database;
  readonly login?: Login;
  readonly handlers: Handlers;
}

/** What each application is made of. */
const makers: Readonly<Record<App, (settings: Settings) => Parts>> = {
  admin: () => withLogin(new Database()),
  id: () => withLogin(new Database()),
  static: () => ({ handlers: assetHandlers }),
  api: (settings) => {
    const database = new Database(apiTables);
    return { database, handlers: apiHandlers(database, settings) };
  },
  survey: (settings) => {
    const database = new Database(surveyTables);
    return { database, handlers: surveyHandlers(database, settings) };
  },
};

function withLogin(database: Database): Parts {
  const login = new Login(readLoginSettings(process.env));
  return { database, login, handlers: login.handlers };
}

function home({ app, site, release, epoch }: Settings, { login, handlers }: Parts, request: Request) {
  const user = login?.user(request)?.username;
  const paths = Object.keys(handlers).sort();
  if (!wantsHtml(request)) return json(200, { app, site, release, epoch, ...(user ? { user } : {}), paths });
  const facts = { Site: site, Release: release, Epoch: epoch, ...(login ? { User: user ?? 'nobody' } : {}) };
  const rows = Object.entries(facts).map(([name, value]) => `<tr><th>${name}<td>${escapeHtml(String(value))}`);
  const link = login ? `<p><a href="${user ? '/logout' : '/login'}">${user ? 'Log out' : 'Log in'}</a></p>` : '';
  return page(`Moodtalk ${app}`, `<table>${rows.join('')}</table>${link}`);
}

/** Ready is who can do the work: the database answers, and where users log in the identity provider as well. */
async function readiness({ database, login }: Parts) {
  const checks = { ...(database ? { database: database.check() } : {}), ...(login ? { login: login.provider() } : {}) };
  const results = await Promise.allSettled(Object.values(checks));
  const state = Object.keys(checks).map((name, index) => {
    const result = results[index];
    return [name, result?.status === 'rejected' ? (result.reason as Fault).message : 'ok'] as const;
  });
  return json(state.every(([, word]) => word === 'ok') ? 200 : 503, Object.fromEntries(state));
}

function main(): void {
  const settings = readSettings(process.env);
  const parts = makers[settings.app](settings);
  const handlers: Handlers = {
    ...parts.handlers,
    'GET /': (request) => home(settings, parts, request),
    'GET /healthz': () => json(200, { alive: true }),
    'GET /readyz': () => readiness(parts),
  };
  const { app, site, release, epoch, port } = settings;
  const server = serve(handlers, { 'x-site': site, 'x-release': release, 'x-epoch': String(epoch) });
  server.keepAliveTimeout = 75_000; // longer than the ingress keeps a connection: then it is the ingress that closes
  server.listen(port, () => console.log(`${app} ${release} at ${site}, epoch ${epoch}, listens on port ${port}`));
  process.once('SIGTERM', () => {
    console.log('SIGTERM: no new requests, finishing those under way');
    const leave = () => void Promise.resolve(parts.database?.close()).finally(() => process.exit(0));
    server.close(leave);
    server.closeIdleConnections();
    setTimeout(() => process.exit(0), goodbyeMs).unref();
  });
}

try {
  main();
} catch (cause) {
  console.log((cause as Error).message);
  process.exit(1);
}
