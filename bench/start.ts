/** The start of the program: what each `pulumi preview` and `pulumi up` pays before the first resource is asked for. */
import { inTurns, processCost } from './measure';
import { cpu, row, wall, type Outcome } from './report';

const rounds = 5;
const node = (...args: readonly string[]) => processCost(process.execPath, args);

/** What the SDK's run does: it has loaded itself, then it loads the project's entry point. */
const program = "require('@pulumi/pulumi'); require('./stacks/main.js')";

export async function start(): Promise<Outcome> {
  const { ours, template, sdk, bare } = await inTurns(rounds, {
    ours: () => node('-e', program),
    template: () => node('bench/peers/template.js'),
    sdk: () => node('-e', "require('@pulumi/pulumi')"),
    bare: () => node('-e', '0'),
  });
  return {
    rows: [
      row('program start, CPU', 's', ['ts-node, type-checked', cpu(template)], cpu(ours)),
      row('program start, wall', 's', ['ts-node, type-checked', wall(template)], wall(ours)),
      row('program start, CPU', 's', ['limit: the SDK alone', cpu(sdk)], cpu(ours)),
      row('program start, CPU', 's', ['limit: bare Node', cpu(bare)], cpu(ours)),
    ],
    notes: [],
  };
}
