/** The runtime options of a Pulumi.yaml or PulumiPolicy.yaml, as far as Node is concerned. */

export interface NodeOptions {
  readonly nodeArguments: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/**
 * @param options `runtime.options`: `typescript` (true when absent), `nodeargs`, `tsconfig`.
 * @throws Error when one has the wrong type.
 */
export function nodeOptions(options: Readonly<Record<string, unknown>> = {}): NodeOptions {
  const { typescript = true, nodeargs = '', tsconfig = '' } = options;
  if (typeof typescript !== 'boolean') throw wrong('typescript', typescript, 'true or false');
  if (typeof nodeargs !== 'string') throw wrong('nodeargs', nodeargs, 'a string of arguments for node');
  if (typeof tsconfig !== 'string') throw wrong('tsconfig', tsconfig, 'the path of a tsconfig.json');
  return {
    nodeArguments: splitArguments(nodeargs),
    env: {
      ...(typescript ? { PULUMI_NODEJS_TYPESCRIPT: 'true' } : {}),
      ...(tsconfig ? { PULUMI_NODEJS_TSCONFIG_PATH: tsconfig } : {}),
    },
  };
}

/** Splits as a shell does, quotes included, without expanding anything. */
function splitArguments(line: string): string[] {
  const words = line.match(/(?:[^\s"']+|"[^"]*"|'[^']*')+/g) ?? [];
  return words.map((word) =>
    word.replace(/"([^"]*)"|'([^']*)'/g, (_, double?: string, single?: string) => double ?? single ?? ''),
  );
}

const wrong = (key: string, got: unknown, allowed: string) =>
  new Error(
    `runtime option "${key}" is ${JSON.stringify(got)}; allowed: ${allowed}; mend it in Pulumi.yaml or PulumiPolicy.yaml`,
  );
