/** Between the engine's property values (google.protobuf.Struct with marked objects) and plain ones. */
import { Struct } from 'google-protobuf/google/protobuf/struct_pb';
import { isRecord, Secret, type Properties } from './plugin';

const signature = '4dabf18193072939515e22adb298388d';
const secretSignature = '1b47061264138c4ac30d75fd1eb44270';

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (!isRecord(value)) return value;
  if (value[signature] === secretSignature) return plain(value['value']);
  return plainRecord(value);
}

const plainRecord = (value: Record<string, unknown>): Properties =>
  Object.fromEntries(Object.entries(value).flatMap(([key, item]) => (item === null ? [] : [[key, plain(item)]])));

/** @returns plain properties: secrets opened, nulls left out. */
export const decode = (struct: Struct | undefined): Properties => (struct ? plainRecord(struct.toJavaScript()) : {});

function wire(value: unknown): unknown {
  if (value instanceof Secret) return { [signature]: secretSignature, value: wire(value.value) };
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map((item) => wire(item ?? null));
  return isRecord(value) ? wireRecord(value) : value;
}

const wireRecord = (value: Properties): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) => (item === undefined || item === null ? [] : [[key, wire(item)]])),
  );

export const encode = (properties: Properties): Struct => Struct.fromJavaScript(wireRecord(properties) as never);
