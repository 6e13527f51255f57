/** /accounts/:account/r2/buckets: buckets and the locks on what is in them. The objects themselves are behind another address. */
import { z } from 'zod';
import { checked, invalid, missing, taken } from './fault';
import { need, type Answer, type Call, type Route } from './route';
import { timestamp, type Bucket } from './state';

const creation = z.strictObject({
  name: z.string(),
  locationHint: z.enum(['apac', 'eeur', 'enam', 'weur', 'wnam', 'oc']).optional(),
  storageClass: z.enum(['Standard', 'InfrequentAccess']).optional(),
});
const lock = z.strictObject({
  rules: z
    .array(
      z.strictObject({
        id: z.string().min(1),
        enabled: z.boolean(),
        prefix: z.string().optional(),
        condition: z.discriminatedUnion('type', [
          z.strictObject({ type: z.literal('Age'), maxAgeSeconds: z.int().positive() }),
          z.strictObject({ type: z.literal('Date'), date: z.iso.datetime({ offset: true }) }),
          z.strictObject({ type: z.literal('Indefinite') }),
        ]),
      }),
    )
    .max(1_000)
    .refine((rules) => new Set(rules.map(({ id }) => id)).size === rules.length, 'rule ids must be unique')
    .optional(),
});

const jurisdictions = ['default', 'eu', 'fedramp'];

/** Each jurisdiction has names of its own: a bucket is found in that alone which the request's header names. */
function jurisdictionOf({ headers }: Call): string {
  const given = headers['cf-r2-jurisdiction'] ?? 'default';
  if (typeof given === 'string' && jurisdictions.includes(given)) return given;
  throw invalid(10001, `cf-r2-jurisdiction: must be one of ${jurisdictions.join(', ')}`);
}

const keyOf = (call: Call, name: string) => `${jurisdictionOf(call)}/${name}`;
const bucketsOf = ({ store }: Call) => store.state.buckets ?? {};

function find(call: Call): Bucket {
  if (call.params['account'] !== call.account.id) throw missing.bucket();
  const bucket = bucketsOf(call)[keyOf(call, call.params['bucket'] ?? '')];
  if (!bucket) throw missing.bucket();
  return bucket;
}

function keep(call: Call, bucket: Bucket): void {
  call.store.replace({ buckets: { ...bucketsOf(call), [`${bucket.jurisdiction}/${bucket.name}`]: bucket } });
}

const wire = ({ rules: _, ...bucket }: Bucket) => bucket;

function create(call: Call): Answer {
  const { name, locationHint, storageClass } = checked(creation, call.body ?? {}, 10001);
  if (call.params['account'] !== call.account.id) throw missing.bucket();
  if (!/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(name)) throw invalid(10005, 'The specified bucket name is not valid.');
  if (bucketsOf(call)[keyOf(call, name)]) throw taken.bucket();
  const bucket: Bucket = {
    ...{ name, creation_date: timestamp(), jurisdiction: jurisdictionOf(call) },
    ...{ location: (locationHint ?? 'weur').toUpperCase(), storage_class: storageClass ?? 'Standard', rules: [] },
  };
  keep(call, bucket);
  return { result: wire(bucket) };
}

function edit(call: Call): Answer {
  const storage = call.headers['cf-r2-storage-class'];
  if (storage !== 'Standard' && storage !== 'InfrequentAccess')
    throw invalid(10001, 'cf-r2-storage-class: must be Standard or InfrequentAccess');
  const bucket: Bucket = { ...find(call), storage_class: storage };
  keep(call, bucket);
  return { result: wire(bucket) };
}

function remove(call: Call): Answer {
  const { name } = find(call);
  const { [keyOf(call, name)]: _gone, ...buckets } = bucketsOf(call);
  call.store.replace({ buckets });
  return { result: {} };
}

function putLock(call: Call): Answer {
  const { rules = [] } = checked(lock, call.body ?? {}, 10001);
  keep(call, { ...find(call), rules: rules.map((rule) => ({ prefix: '', ...rule })) });
  return { result: {} };
}

function list(call: Call): Answer {
  const jurisdiction = jurisdictionOf(call);
  const buckets = Object.values(bucketsOf(call)).filter((bucket) => bucket.jurisdiction === jurisdiction);
  return { result: { buckets: buckets.map(wire) } };
}

const [read, write] = [need('Workers R2 Storage', 'Read', 'account'), need('Workers R2 Storage', 'Write', 'account')];
const root = '/accounts/:account/r2/buckets';

export const bucketRoutes: readonly Route[] = [
  { method: 'GET', path: root, ...read, handle: list },
  { method: 'POST', path: root, ...write, handle: create },
  { method: 'GET', path: `${root}/:bucket`, ...read, handle: (call) => ({ result: wire(find(call)) }) },
  { method: 'PATCH', path: `${root}/:bucket`, ...write, handle: edit },
  { method: 'DELETE', path: `${root}/:bucket`, ...write, handle: remove },
  { method: 'GET', path: `${root}/:bucket/lock`, ...read, handle: (call) => ({ result: { rules: find(call).rules } }) },
  { method: 'PUT', path: `${root}/:bucket/lock`, ...write, handle: putLock },
];
