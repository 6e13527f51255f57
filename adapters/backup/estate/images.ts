/**
 * Data set `images`: which bytes run. Digests are taken from the configuration and asked for at their registries; a registry that does
 * not answer, or lets nobody look, is unknown. Bytes are the registry's to keep: a digest that is gone is built from its source.
 */
import { z } from 'zod';
import { parseImage, type Image } from '../../../backup/estate/references';
import type { Difference, EstateFile, EstateSet } from '../../../backup/estate/set';
import type { Call } from '../../../backup/ports';
import { sites } from '../../../config/fields';
import { StandbyError } from '../../../failover/errors';
import type { AdapterContext } from '../../context';
import { exchange, type Answer } from '../../http';
import { jsonFile, readJsonFile } from './files';

const fileName = 'images.json';
const withinMs = 5_000;
const manifests = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

const fileSchema = z.array(z.object({ use: z.string(), reference: z.string() }));
type Used = z.infer<typeof fileSchema>[number];

export const imagesSet = (context: Pick<AdapterContext, 'configuration' | 'landscape'>): EstateSet => ({
  dataSet: 'images',
  tool: 'OCI distribution v2',
  collect: async (call) => {
    const used = imagesIn(context);
    const gone = (await lookAll(used, call)).find(({ how }) => how === 'missing');
    if (!gone) return [jsonFile(fileName, used)];
    throw new StandbyError(
      'ImageGone',
      `${gone.what} is not in its registry: a site could not start it; push it again`,
    );
  },
  compare: (files, call) => compare(context, files, call),
});

/** @throws StandbyError ImageNotPinned */
function imagesIn({ configuration, landscape }: Pick<AdapterContext, 'configuration' | 'landscape'>): Used[] {
  const { image, release, agentImage, backup } = configuration();
  const jobs = backup?.schedule.jobs;
  const [version, digest] = release.split('@');
  const all = [
    { use: 'release', reference: `${image}:${version}@${digest}` },
    { use: 'agent', reference: agentImage },
    ...(jobs ? [{ use: 'backup', reference: jobs.image }] : []),
    ...sites.map((site) => ({ use: `identity provider of ${site}`, reference: landscape.sites[site].identity.image })),
  ];
  for (const { use, reference } of all) {
    if (parseImage(reference)) continue;
    throw new StandbyError('ImageNotPinned', `the image of ${use} is ${reference}: pin it with @sha256:DIGEST`);
  }
  return all;
}

async function compare(
  context: Pick<AdapterContext, 'configuration' | 'landscape'>,
  files: readonly EstateFile[],
  call: Call,
): Promise<readonly Difference[]> {
  const kept = readJsonFile(files, fileName, (value) => fileSchema.parse(value));
  const now = new Map(imagesIn(context).map(({ use, reference }) => [use, reference]));
  const changed = kept
    .filter(({ use, reference }) => now.get(use) !== reference)
    .map(({ use, reference }): Difference => ({
      what: `image of ${use}`,
      how: 'moves',
      detail: `it was ${reference}`,
    }));
  return [...changed, ...(await lookAll(kept, call))];
}

async function lookAll(used: readonly Used[], call: Call): Promise<Difference[]> {
  const references = [...new Set(used.map(({ reference }) => reference))];
  const found = await Promise.all(references.map((reference) => look(reference, call)));
  return found.flatMap((one) => one ?? []);
}

/** @returns nothing when the registry has it. */
async function look(reference: string, { signal }: Call): Promise<Difference | undefined> {
  const what = `image ${reference}`;
  const image = parseImage(reference);
  if (!image) return { what, how: 'unknown', detail: 'it has no digest' };
  try {
    const { status } = await head(image, signal);
    if (status === 200) return undefined;
    if (status === 404) return { what, how: 'missing' };
    return { what, how: 'unknown', detail: `${image.registry} answers ${status}` };
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    return { what, how: 'unknown', detail: `${image.registry}: ${(cause as Error).message}` };
  }
}

/** As container engines do, plain HTTP is for a registry of this machine alone. */
const schemeOf = (registry: string) => (/^(localhost|127(\.\d+){3})(:\d+)?$/.test(registry) ? 'http' : 'https');

async function head({ registry, name, digest }: Image, signal: AbortSignal): Promise<Answer> {
  const url = `${schemeOf(registry)}://${registry}/v2/${name}/manifests/${digest}`;
  const ask = (headers: Readonly<Record<string, string>>) =>
    exchange(url, { method: 'HEAD', headers: { accept: manifests, ...headers }, signal, withinMs });
  const answer = await ask({});
  if (answer.status !== 401) return answer;
  const token = await anonymousToken(String(answer.headers['www-authenticate'] ?? ''), signal);
  return token === undefined ? answer : ask({ authorization: `Bearer ${token}` });
}

/** What a registry gives to anybody who wants to read what is public. */
async function anonymousToken(challenge: string, signal: AbortSignal): Promise<string | undefined> {
  const word = (key: string) => new RegExp(`\\b${key}="([^"]*)"`).exec(challenge)?.[1];
  const realm = word('realm');
  if (!/^bearer /i.test(challenge) || !realm?.startsWith('https://')) return undefined;
  const url = new URL(realm);
  for (const key of ['service', 'scope']) url.searchParams.set(key, word(key) ?? '');
  const { status, text } = await exchange(url, { signal, withinMs });
  if (status !== 200) return undefined;
  const { token, access_token: other } = JSON.parse(text) as { token?: string; access_token?: string };
  return token ?? other;
}
