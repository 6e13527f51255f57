/** Stand-in for the plugin `random`: what it makes lives in the state alone. All inputs force a new resource. */
import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { diff } from './diff';
import { Secret, text, unknown, type Failure, type Plugin, type Properties, type Provider, type State } from './plugin';

const lower = 'abcdefghijklmnopqrstuvwxyz';
const classes = { lower, upper: lower.toUpperCase(), numeric: '0123456789', special: '!@#$%&*()-_=+[]{}<>:?' } as const;
type CharacterClass = keyof typeof classes;
const classNames = Object.keys(classes) as CharacterClass[];
const minimumOf = (name: CharacterClass) => `min${name[0]?.toUpperCase()}${name.slice(1)}`;

interface Kind {
  readonly defaults: Properties;
  readonly required: readonly string[];
  readonly outputs: readonly string[];
  /** Why the inputs can't work. */
  readonly validate?: (inputs: Properties) => Failure[];
  make(inputs: Properties): State;
}

const pick = (from: string) => from.charAt(randomInt(from.length));

function shuffle<T>(items: T[]): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = randomInt(i + 1);
    [items[i], items[j]] = [items[j] as T, items[i] as T];
  }
  return items;
}

const charactersOf = (name: CharacterClass, inputs: Properties): string =>
  name === 'special' && typeof inputs['overrideSpecial'] === 'string' && inputs['overrideSpecial'] !== ''
    ? inputs['overrideSpecial']
    : classes[name];

const enabled = (name: CharacterClass, inputs: Properties): boolean =>
  (inputs[name] ?? (name === 'numeric' ? inputs['number'] : undefined) ?? true) === true;

function characters(inputs: Properties): string {
  const required = classNames.flatMap((name) =>
    Array.from({ length: Number(inputs[minimumOf(name)] ?? 0) }, () => pick(charactersOf(name, inputs))),
  );
  const all = classNames
    .filter((name) => enabled(name, inputs))
    .map((name) => charactersOf(name, inputs))
    .join('');
  const rest = Array.from({ length: Number(inputs['length']) - required.length }, () => pick(all));
  return shuffle([...required, ...rest]).join('');
}

function validateText(inputs: Properties): Failure[] {
  const length = Number(inputs['length']);
  const minimum = classNames.reduce((sum, name) => sum + Number(inputs[minimumOf(name)] ?? 0), 0);
  if (!Number.isInteger(length) || length < 1)
    return [{ property: 'length', reason: `is ${String(inputs['length'])}; allowed is a whole number from 1` }];
  if (minimum > length)
    return [{ property: 'length', reason: `is ${length}, less than the sum of the minimums, ${minimum}` }];
  if (!classNames.some((name) => enabled(name, inputs)))
    return [{ property: 'lower', reason: 'no class of characters is left to choose from' }];
  return [];
}

const textDefaults = {
  lower: true,
  upper: true,
  numeric: true,
  number: true,
  special: true,
  minLower: 0,
  minUpper: 0,
  minNumeric: 0,
  minSpecial: 0,
};
const textKind = { defaults: textDefaults, required: ['length'], validate: validateText } as const;

const kinds: Readonly<Record<string, Kind>> = {
  'random:index/randomPassword:RandomPassword': {
    ...textKind,
    outputs: ['result'],
    make: (inputs) => ({ id: 'none', outputs: { result: new Secret(characters(inputs)) } }),
  },
  'random:index/randomString:RandomString': {
    ...textKind,
    outputs: ['result'],
    make: (inputs) => {
      const result = characters(inputs);
      return { id: result, outputs: { result } };
    },
  },
  'random:index/randomId:RandomId': {
    defaults: {},
    required: ['byteLength'],
    outputs: ['b64Std', 'b64Url', 'dec', 'hex'],
    make: (inputs) => {
      const bytes = randomBytes(Number(inputs['byteLength']));
      const prefix = text(inputs['prefix']);
      const encodings = {
        b64Std: bytes.toString('base64'),
        b64Url: bytes.toString('base64url'),
        dec: BigInt(`0x${bytes.toString('hex')}`).toString(),
        hex: bytes.toString('hex'),
      };
      return {
        id: encodings.b64Url,
        outputs: Object.fromEntries(Object.entries(encodings).map(([key, value]) => [key, prefix + value])),
      };
    },
  },
  'random:index/randomUuid:RandomUuid': {
    defaults: {},
    required: [],
    outputs: ['result'],
    make: () => {
      const result = randomUUID();
      return { id: result, outputs: { result } };
    },
  },
  'random:index/randomInteger:RandomInteger': {
    defaults: {},
    required: ['min', 'max'],
    outputs: ['result'],
    validate: ({ min, max }) =>
      Number(min) > Number(max)
        ? [{ property: 'min', reason: `is ${String(min)}, more than max, ${String(max)}` }]
        : [],
    make: (inputs) => {
      const result = randomInt(Number(inputs['min']), Number(inputs['max']) + 1);
      return { id: String(result), outputs: { result } };
    },
  },
};

function kindOf(type: string): Kind {
  const kind = kinds[type];
  if (!kind) throw new Error(`resource type "${type}" is not known; known are ${Object.keys(kinds).join(', ')}`);
  return kind;
}

/** Two names of one switch: what the program gives for either counts for both. */
const aligned = ({ number, numeric, ...rest }: Properties): Properties => {
  const value = numeric ?? number;
  return value === undefined ? rest : { ...rest, number: value, numeric: value };
};

class RandomProvider implements Provider {
  check: Provider['check'] = async ({ type, news }) => {
    const kind = kindOf(type);
    const inputs = { ...kind.defaults, ...('numeric' in kind.defaults ? aligned(news) : news) };
    const missing = kind.required
      .filter((name) => inputs[name as keyof typeof inputs] === undefined)
      .map((property) => ({ property, reason: 'is missing' }));
    return { inputs, failures: missing.length ? missing : (kind.validate?.(inputs) ?? []) };
  };
  diff: Provider['diff'] = ({ oldInputs, news }) => diff(oldInputs, news, () => true);
  preview: Provider['preview'] = ({ type, inputs }) => ({
    ...inputs,
    ...Object.fromEntries(kindOf(type).outputs.map((name) => [name, unknown])),
  });
  create: Provider['create'] = async ({ type, inputs }) => {
    const { id, outputs } = kindOf(type).make(inputs);
    return { id, outputs: { ...inputs, ...outputs } };
  };
  read: Provider['read'] = async ({ type, id, inputs, outputs }) => {
    if (!inputs) throw new Error(`${type} can't be imported: what it holds is in the state alone`);
    return {
      id,
      inputs,
      outputs: type.endsWith(':RandomPassword') ? { ...outputs, result: new Secret(outputs['result']) } : outputs,
    };
  };
  update: Provider['update'] = async ({ inputs, oldOutputs }) => ({ ...oldOutputs, ...inputs });
  delete: Provider['delete'] = async () => undefined;
  invoke: Provider['invoke'] = async (token) => {
    throw new Error(`function "${token}" is not known; random has none`);
  };
}

export const random = {
  name: 'random',
  version: '4.21.2',
  configure: () => new RandomProvider(),
} satisfies Plugin;
