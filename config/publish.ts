/** Writes docs/configuration.md and docs/configuration.schema.json: `npm run docs:configuration`. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { jsonSchema, markdown } from './documents';

const docs = path.join(__dirname, '..', 'docs');

/** What belongs into which file. */
export const published = (): Readonly<Record<string, string>> => ({
  [path.join(docs, 'configuration.md')]: markdown(),
  [path.join(docs, 'configuration.schema.json')]: `${JSON.stringify(jsonSchema(), undefined, 2)}\n`,
});

if (require.main === module) {
  for (const [file, content] of Object.entries(published())) fs.writeFileSync(file, content);
}
