/** Every resource type that the service knows. */
import { kinds as containerApps } from './containerapps';
import type { Kind } from './kind';
import { kinds as containerService } from './kinds/containerservice';
import { kinds as identity } from './kinds/identity';
import { kinds as monitor } from './kinds/monitor';
import { kinds as network } from './kinds/network';
import { kinds as privateDns } from './kinds/privatedns';
import { kinds as resources } from './kinds/resources';
import { kinds as sql } from './kinds/sql';
import { kinds as storage } from './kinds/storage';
import { kinds as postgres } from './postgres';

const all: readonly Kind[] = [
  ...resources,
  ...network,
  ...privateDns,
  ...storage,
  ...identity,
  ...containerService,
  ...monitor,
  ...sql,
  ...postgres,
  ...containerApps,
];

const byType = new Map(all.map((kind) => [kind.type.toLowerCase(), kind]));

/** Types are compared in any casing. */
export const findKind = (type: string): Kind | undefined => byType.get(type.toLowerCase());

export const kindsOf = (namespace: string): readonly Kind[] =>
  all.filter((kind) => kind.type.toLowerCase().startsWith(namespace.toLowerCase() + '/'));
