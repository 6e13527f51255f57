/** List Blobs with `include=versions`: Azurite's lists of the blobs and of the kept versions, made one. */
import type { Account } from './accounts';
import { blobPath, call } from './backend';
import { faults } from './fault';
import { fromHidden, hiddenContainer } from './hidden';
import { keyOf, type Versions } from './versions';

interface Item {
  readonly name: string;
  /** Empty for a blob without one. */
  readonly version: string;
  readonly xml: string;
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
const unescape = (text: string) => text.replace(/&(\w+);/g, (whole, name: string) => entities[name] ?? whole);
const escape = (text: string) =>
  text.replace(/[&<>"]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[sign] ?? sign);
const nameOf = (xml: string) => unescape(/<Name>([\s\S]*?)<\/Name>/.exec(xml)?.[1] ?? '');

/** @returns all `<Blob>` elements; undefined when there is no such container. */
async function fragments(
  account: Account,
  container: string,
  prefix: string,
  include: string,
): Promise<string[] | undefined> {
  const result: string[] = [];
  for (let marker: string | undefined = ''; marker !== undefined;) {
    const query = new URLSearchParams({
      restype: 'container',
      comp: 'list',
      prefix,
      ...(include ? { include } : {}),
      ...(marker ? { marker } : {}),
    });
    const { status, body } = await call(
      { method: 'GET', account: account.name, path: blobPath(container), query },
      account.keys[0],
    );
    if (status !== 200) return undefined;
    const text = body.toString('utf8');
    result.push(...(text.match(/<Blob>[\s\S]*?<\/Blob>/g) ?? []));
    marker = /<NextMarker>(.+?)<\/NextMarker>/.exec(text)?.[1];
  }
  return result;
}

const withVersion = (xml: string, version: string, current: boolean) =>
  xml.replace(
    '</Name>',
    `</Name><VersionId>${version}</VersionId>${current ? '<IsCurrentVersion>true</IsCurrentVersion>' : ''}`,
  );

function currentItem(xml: string, versions: Versions, account: Account, container: string): Item {
  const name = nameOf(xml);
  const version = xml.includes('<Snapshot>')
    ? undefined
    : versions.index.get(keyOf(account, { container, blob: name })).current;
  return { name, version: version ?? '', xml: version ? withVersion(xml, version, true) : xml };
}

function previousItem(xml: string, versions: Versions, account: Account, container: string): Item[] {
  const hidden = fromHidden(nameOf(xml));
  const kept =
    hidden && versions.index.get(keyOf(account, { container, blob: hidden.blob })).previous.get(hidden.version);
  if (!kept) return []; // a copy whose change is under way
  const original = xml
    .replace(/<Name>[\s\S]*?<\/Name>/, `<Name>${escape(hidden.blob)}</Name>`)
    .replace(/<Last-Modified>.*?<\/Last-Modified>/, `<Last-Modified>${kept.lastModified}</Last-Modified>`)
    .replace(/<Creation-Time>.*?<\/Creation-Time>/, `<Creation-Time>${kept.created}</Creation-Time>`)
    .replace(/<Etag>.*?<\/Etag>/, `<Etag>${escape(kept.etag)}</Etag>`)
    .replace(/<Copy[A-Z]\w*>.*?<\/Copy[A-Z]\w*>/g, '');
  return [{ name: hidden.blob, version: hidden.version, xml: withVersion(original, hidden.version, false) }];
}

const orderKey = ({ name, version }: Item) => `${name}\0${version}`;

/** Names beyond the delimiter become one `<BlobPrefix>`. */
function rolled(items: readonly Item[], prefix: string, delimiter: string | null): Item[] {
  if (!delimiter) return [...items];
  const seen = new Set<string>();
  return items.flatMap((item) => {
    const end = item.name.indexOf(delimiter, prefix.length);
    if (end < 0) return [item];
    const name = item.name.slice(0, end + delimiter.length);
    if (seen.has(name)) return [];
    seen.add(name);
    return [{ name, version: '', xml: `<BlobPrefix><Name>${escape(name)}</Name></BlobPrefix>` }];
  });
}

/**
 * @param url of the account, for the answer's `ServiceEndpoint`
 * @returns the XML body of the answer
 */
export async function listVersions(
  versions: Versions,
  account: Account,
  container: string,
  query: URLSearchParams,
  url: string,
): Promise<string> {
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter');
  const include = (query.get('include') ?? '').split(',').filter((word) => word !== '' && word !== 'versions');
  const current = await fragments(account, container, prefix, include.join(','));
  if (!current) throw faults.containerNotFound();
  const copies = include.filter((word) => word === 'metadata' || word === 'tags').join(',');
  const previous = (await fragments(account, hiddenContainer(container), prefix, copies)) ?? [];
  const items = [
    ...current.map((xml) => currentItem(xml, versions, account, container)),
    ...previous.flatMap((xml) => previousItem(xml, versions, account, container)),
  ].sort((a, b) => (orderKey(a) < orderKey(b) ? -1 : 1));

  const after = Buffer.from(query.get('marker') ?? '', 'base64url').toString();
  const left = rolled(items, prefix, delimiter).filter((item) => after === '' || orderKey(item) > after);
  const size = Math.min(5000, Math.max(1, Number(query.get('maxresults') ?? 5000) || 5000));
  const shown = left.slice(0, size);
  const last = left.length > size ? shown.at(-1) : undefined;
  const next = last ? Buffer.from(orderKey(last)).toString('base64url') : '';
  const head = `<EnumerationResults ServiceEndpoint="${url}" ContainerName="${container}"><Prefix>${escape(prefix)}</Prefix><MaxResults>${size}</MaxResults>`;
  const delimited = delimiter ? `<Delimiter>${escape(delimiter)}</Delimiter>` : '';
  return `<?xml version="1.0" encoding="utf-8"?>${head}${delimited}<Blobs>${shown.map(({ xml }) => xml).join('')}</Blobs><NextMarker>${next}</NextMarker></EnumerationResults>`;
}
