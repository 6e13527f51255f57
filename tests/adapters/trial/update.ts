/** One update in a process of its own, to be killed. */
import { loadConfiguration } from '../../../adapters/pulumi/configuration';
import { createStacks } from '../../../adapters/pulumi/stacks';
import type { Landscape } from '../../../config/landscape';

const context = {
  environment: process.env,
  configuration: () => loadConfiguration(process.env),
  landscape: { secrets: {} } as Landscape,
};
void createStacks(context).update({ signal: new AbortController().signal, progress: () => undefined });
