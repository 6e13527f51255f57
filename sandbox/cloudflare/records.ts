/** /zones/:zone/dns_records */
import { invalid } from './fault';
import { listRecords } from './record-list';
import { RecordSet } from './record-set';
import { need, type Answer, type Call, type Route } from './route';
import type { DnsRecord } from './state';
import { exportZone, parseZone } from './zone-file';

const recordsOf = ({ store, zone }: Call) => store.state.records[zone.id] ?? {};
const id = (call: Call) => call.params['record'] as string;

/** Makes the changes on a draft and puts it in force when all of them went through. */
function change<T>(call: Call, make: (draft: RecordSet) => T): T {
  const draft = new RecordSet(call.zone, recordsOf(call));
  const result = make(draft);
  call.store.replace({ records: { ...call.store.state.records, [call.zone.id]: draft.records } });
  return result;
}

function importRecords(call: Call): Answer {
  const { file, proxied } = (call.body ?? {}) as { file?: string; proxied?: string };
  if (typeof file !== 'string')
    throw invalid(9207, 'Request body is invalid: file: a multipart form with a zone file is needed.');
  const bodies = parseZone(call.zone, file, proxied === 'true');
  const added = change(call, (draft) => bodies.map((body) => draft.create(body)));
  return { result: { recs_added: added.length, total_records_parsed: bodies.length } };
}

const root = '/zones/:zone/dns_records';
const read = need('DNS', 'Read', 'zone');
const write = need('DNS', 'Write', 'zone');
const one =
  (make: (call: Call) => DnsRecord) =>
  (call: Call): Answer => ({ result: make(call) });

export const recordRoutes: readonly Route[] = [
  { method: 'GET', path: root, ...read, handle: (call) => listRecords(Object.values(recordsOf(call)), call.query) },
  { method: 'POST', path: root, ...write, handle: one((call) => change(call, (draft) => draft.create(call.body))) },
  {
    method: 'POST',
    path: `${root}/batch`,
    ...write,
    handle: (call) => ({ result: change(call, (draft) => draft.batch(call.body)) }),
  },
  {
    method: 'GET',
    path: `${root}/export`,
    ...read,
    handle: (call) => ({ text: exportZone(call.zone, Object.values(recordsOf(call))) }),
  },
  { method: 'POST', path: `${root}/import`, ...write, handle: importRecords },
  {
    method: 'GET',
    path: `${root}/:record`,
    ...read,
    handle: one((call) => new RecordSet(call.zone, recordsOf(call)).get(id(call))),
  },
  {
    method: 'PUT',
    path: `${root}/:record`,
    ...write,
    handle: one((call) => change(call, (draft) => draft.overwrite(id(call), call.body))),
  },
  {
    method: 'PATCH',
    path: `${root}/:record`,
    ...write,
    handle: one((call) => change(call, (draft) => draft.patch(id(call), call.body))),
  },
  {
    method: 'DELETE',
    path: `${root}/:record`,
    ...write,
    handle: (call) => ({ result: { id: change(call, (draft) => draft.remove(id(call))).id } }),
  },
];
