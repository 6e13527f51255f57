import * as pulumi from '@pulumi/pulumi';
import { RandomPassword } from '@pulumi/random/randomPassword';

/** A password that every engine's rules admit and that needs no quoting in an address. Its loss would be a lock-out: protected. */
export function administratorPassword(parent: pulumi.Resource, name: string): pulumi.Output<string> {
  const password = new RandomPassword(
    `${name}-password`,
    { length: 32, special: false, minLower: 1, minUpper: 1, minNumeric: 1 },
    { parent, protect: true },
  );
  return pulumi.secret(password.result);
}
