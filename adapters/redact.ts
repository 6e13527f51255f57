/** Takes out of a text what nobody may read in it. */
import type { AdapterContext } from './context';

const secretName = /SECRET|TOKEN|PASSWORD|PASSPHRASE|_KEY$|SAS/;
const least = 6;

function leaves(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(leaves) : [];
}

/** @returns a function that replaces every secret of the environment and of the landscape in a text. */
export function redactor({ environment, landscape }: Partial<AdapterContext>): (text: string) => string {
  const named = Object.entries(environment ?? {}).flatMap(([name, value]) =>
    value && secretName.test(name) && !name.endsWith('_FILE') ? [value] : [],
  );
  const secrets = [...new Set([...named, ...leaves(landscape?.secrets)])]
    .filter((secret) => secret.length >= least)
    .sort((a, b) => b.length - a.length);
  return (text) => secrets.reduce((clean, secret) => clean.replaceAll(secret, '[secret]'), text);
}
