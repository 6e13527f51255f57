/** Proof that a site serves: from inside before names lead to it, and as the public sees it after. */
import { setTimeout as delay } from 'node:timers/promises';
import { apps, type Site } from '../../config/fields';
import type { Facts } from '../../failover/model';
import type { Call, Verifier } from '../../failover/ports';
import type { AdapterContext } from '../context';
import { readCluster } from '../kubernetes/reading';
import { serverPlaces, serverTarget } from '../places';
import { readServer, tryWrite } from '../postgres/admission';
import { untilGood, type Check } from './checks';
import { checkLogin, type Provider, type Reach } from './login';
import { addressesFrom, resolversOf } from './names';
import { askPage, faultOf, publicHosts, type PublicHost, type Speaker } from './pages';
import { within } from '../../failover/within';

const insideMs = 90_000;
const outsideMs = 120_000;
const answerMs = 3_000;
/** For servers to say that they are open too. */
const othersMs = 1_000;
/** The application whose client is asked for. */
const loginApp = 'id';

export function createVerifier(context: AdapterContext): Verifier {
  return {
    inside: (to, server, epoch, call) => inside(context, to, server, epoch, call),
    outside: (to, epoch, call) => outside(context, to, epoch, call),
  };
}

function inside(context: AdapterContext, to: Site, server: string, epoch: number, call: Call): Promise<Facts> {
  const at = context.landscape.sites[to].network.ingressAddress;
  const reach = (signal: AbortSignal): Reach => ({ signal, withinMs: answerMs, at, anyCertificate: true });
  const speaker = expected(context, to, epoch);
  const checks: Check[] = [
    { name: 'release', look: (signal) => checkRelease(context, to, epoch, signal) },
    { name: 'write', look: (signal) => checkWrite(context, server, epoch, signal) },
    { name: 'login', look: (signal) => login(context, reach(signal)) },
    ...publicHosts(context).map((host) => ({
      name: host.host,
      look: (signal: AbortSignal) => checkPage(context, host, speaker, reach(signal)),
    })),
  ];
  return untilGood(checks, insideMs, call);
}

function outside(context: AdapterContext, to: Site, epoch: number, call: Call): Promise<Facts> {
  const speaker = expected(context, to, epoch);
  const [first = ''] = resolversOf(context);
  const reach = async (host: string, signal: AbortSignal): Promise<Reach> => {
    const [at = ''] = await addressesFrom(first, host, signal, answerMs);
    return { signal, withinMs: answerMs, at };
  };
  const idp = context.configuration().hosts.idp;
  const checks: Check[] = [
    ...resolversOf(context).map((resolver) => ({
      name: `names at ${resolver}`,
      look: (signal: AbortSignal) => checkNames(context, resolver, signal),
    })),
    { name: 'login', look: async (signal) => login(context, await reach(idp, signal)) },
    {
      name: 'write',
      look: async (signal) => checkWrite(context, await openServer(context, epoch, signal), epoch, signal),
    },
    ...publicHosts(context).map((host) => ({
      name: host.host,
      look: async (signal: AbortSignal) => checkPage(context, host, speaker, await reach(host.host, signal)),
    })),
  ];
  return untilGood(checks, outsideMs, call);
}

const expected = ({ configuration }: AdapterContext, site: Site, epoch: number): Speaker => ({
  site,
  release: configuration().release,
  epoch: String(epoch),
});

/** Every application is ready, all its instances, in the release and the epoch. */
async function checkRelease(context: AdapterContext, site: Site, epoch: number, signal: AbortSignal) {
  const { release } = context.configuration();
  const reading = await readCluster(context, site, within(2 * answerMs, signal));
  for (const app of apps) {
    const found = reading.apps.find((one) => one.app === app);
    if (!found) throw new Error(`there is no ${app}`);
    if (found.epoch !== epoch) throw new Error(`${app} is in epoch ${found.epoch}, not ${epoch}`);
    if (found.release !== release) throw new Error(`${app} is ${found.release}, not ${release}`);
    if (found.wanted === 0 || found.ready < found.wanted) {
      throw new Error(`${app} has ${found.ready} of ${found.wanted} instances ready`);
    }
  }
  return release;
}

async function checkWrite(context: AdapterContext, server: string, epoch: number, signal: AbortSignal) {
  const { accepted, answer } = await tryWrite(serverTarget(context, server), epoch, signal);
  if (!accepted) throw new Error(`${server} refuses a write of epoch ${epoch}: ${answer}`);
  return `${server} ${answer}`;
}

/**
 * The server that has admitted the epoch says so itself, whatever the configuration says at the moment. Where one does, others
 * that say nothing are not waited for until their time is over: they may be gone with their site.
 */
async function openServer(context: AdapterContext, epoch: number, signal: AbortSignal): Promise<string> {
  const open: string[] = [];
  const all = Promise.allSettled(
    serverPlaces(context).map(async ({ name }) => {
      const { role, token } = await readServer(serverTarget(context, name), signal);
      if (role === 'primary' && token?.open === true && token.epoch === epoch) open.push(name);
    }),
  );
  await Promise.race([all, delay(othersMs, undefined, { signal })]);
  if (open.length === 0) await all;
  const [server] = open;
  if (open.length === 1 && server) return server;
  throw new Error(`epoch ${epoch} is open on ${open.join(' and ') || 'no server'}`);
}

async function login(context: AdapterContext, reach: Reach) {
  const { hosts } = context.configuration();
  const issuer = `https://${hosts.idp}/realms/${context.landscape.sites.prod.identity.realm}`;
  const provider: Provider = { base: issuer, issuer };
  const redirect = `https://${hosts[loginApp]}/callback`;
  const secret = context.landscape.secrets.prod.clients[loginApp];
  const { keys } = await checkLogin(provider, { id: loginApp, secret, redirect }, reach);
  return { issuer, keys };
}

async function checkPage(context: AdapterContext, host: PublicHost, speaker: Speaker, reach: Reach) {
  const page = await askPage(context, host, reach);
  const fault = faultOf(page, speaker);
  if (fault) throw new Error(fault);
  return page.status;
}

async function checkNames(context: AdapterContext, resolver: string, signal: AbortSignal) {
  const answers = await Promise.all(
    publicHosts(context).map(async ({ host }) => {
      const addresses = await addressesFrom(resolver, host, signal, answerMs).catch((cause: Error) => {
        throw new Error(`${host}: ${cause.message}`, { cause });
      });
      return [host, [...addresses]] as const;
    }),
  );
  return Object.fromEntries(answers);
}
