/** Which stack is this? Reads its configuration, and hands over to its program. */
import * as pulumi from '@pulumi/pulumi';
import { ConfigurationError } from '../config/issues';
import { loadDrill, loadEnvironment, loadFailover, stackNames } from '../config/loader';
import { StackOutputError } from '../config/outputs';
import { drill, type DrillProgramOutputs } from './drill';
import { environment, type EnvironmentOutputs } from './environment';
import { failover, type FailoverProgramOutputs } from './failover';
import { sayWhoIsActive } from './sites';

/** @throws RunError, which the engine prints without a stack trace, for what a person can put right. */
export async function program(): Promise<EnvironmentOutputs | FailoverProgramOutputs | DrillProgramOutputs> {
  try {
    return await programOf(pulumi.getStack());
  } catch (cause) {
    const expected = cause instanceof ConfigurationError || cause instanceof StackOutputError;
    throw expected ? new pulumi.RunError(cause.message) : cause;
  }
}

async function programOf(stack: string): Promise<EnvironmentOutputs | FailoverProgramOutputs | DrillProgramOutputs> {
  const raw = pulumi.runtime.allConfig();
  switch (stack) {
    case 'prod':
    case 'intg':
      await sayWhoIsActive(stack);
      return environment(stack, loadEnvironment(stack, raw));
    case 'failover':
      return failover(loadFailover(raw));
    case 'drill':
      return drill(loadDrill(raw));
    default:
      throw new pulumi.RunError(
        `stack "${stack}" is not one of this project's: ${stackNames.join(', ')}; select one with \`pulumi stack select\``,
      );
  }
}
