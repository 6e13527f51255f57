// @ts-check
import pulumi from '@pulumi/eslint-plugin';
import globals from 'globals';
import tseslint from 'typescript-eslint';

const rooms = [
  'config',
  'components',
  'stacks',
  'failover',
  'backup',
  'adapters',
  'agent',
  'cli',
  'policies',
  'sandbox',
  'bench',
  'tests',
];

/** Which room may import which; `types` only lends its types. What is not listed is closed. CONTRIBUTING.md says why. */
const mayImport = {
  config: { all: [], types: [] },
  policies: { all: [], types: [] },
  components: { all: [], types: ['config'] },
  stacks: { all: ['components', 'config'], types: [] },
  failover: { all: [], types: ['config'] },
  backup: { all: ['failover'], types: ['config'] },
  adapters: { all: ['failover', 'backup', 'config'], types: [] },
  agent: { all: ['failover', 'adapters', 'config'], types: [] },
  cli: { all: ['failover', 'backup', 'adapters', 'config', 'policies'], types: [] },
  sandbox: { all: ['config'], types: [] },
};

/** @param {string} room @param {{ all: string[]; types: string[] }} open */
function boundaries(room, open) {
  const others = rooms.filter((other) => other !== room && !open.all.includes(other));
  const seeRooms = 'see CONTRIBUTING.md, "Rooms".';
  /** @param {string[]} names */
  const into = (names) => `^(\\.\\./)+(${names.join('|')})(/|$)`;
  const closed = [
    {
      regex: into(others.filter((other) => !open.types.includes(other))),
      message: `${room}/ does not import this room: ${seeRooms}`,
    },
  ];
  if (room === 'failover' || room === 'backup') {
    const message = `${room}/ is without I/O: what touches the world is a port, made real in adapters/.`;
    const io = '(fs|net|http|https|http2|tls|dns|dgram|child_process|worker_threads)';
    closed.push({ regex: `^(@pulumi/|@azure/|@kubernetes/|pg$|(node:)?${io}(/|$))`, message });
  }
  const message = `${room}/ imports types only from this room: ${seeRooms}`;
  const lent = open.types.map((other) => ({ regex: into([other]), message, allowTypeImports: true }));
  return {
    files: [`${room}/**/*.ts`],
    rules: {
      'no-restricted-imports': ['error', { patterns: closed }],
      ...(lent.length > 0 && { '@typescript-eslint/no-restricted-imports': ['error', { patterns: lent }] }),
    },
  };
}

export default tseslint.config(
  { ignores: ['node_modules/', '.standby/', 'out/', 'coverage/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    plugins: { '@pulumi': pulumi },
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@pulumi/no-output-in-template-literal': 'error',
      '@typescript-eslint/consistent-type-imports': [
        'error',
        // CommonJS names the types of an ES module by `import()`.
        { fixStyle: 'inline-type-imports', disallowTypeAnnotations: false },
      ],
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', ignoreRestSiblings: true }],
      // An interface that promises is met by functions that have nothing to wait for.
      '@typescript-eslint/require-await': 'off',
      eqeqeq: ['error', 'always'],
      'max-lines': ['error', 400],
    },
  },
  ...Object.entries(mayImport).map(([room, open]) => boundaries(room, open)),
  {
    // chai's assertions are expressions; a Pulumi program that a test runs is mocked, and awaited by the mock.
    files: ['tests/**/*.ts'],
    rules: { '@typescript-eslint/no-unused-expressions': 'off' },
  },
  {
    files: ['**/*.js', '**/*.mjs', '**/*.cjs'],
    languageOptions: { globals: globals.node },
    rules: { eqeqeq: ['error', 'always'], 'max-lines': ['error', 400], 'no-undef': 'error', 'no-unused-vars': 'error' },
  },
);
