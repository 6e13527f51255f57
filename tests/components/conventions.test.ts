import { expect } from 'chai';
import * as fs from 'node:fs';
import * as path from 'node:path';

describe('every component', () => {
  const folder = path.join(__dirname, '..', '..', 'components');
  const files = fs.readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const sources = files.map((file) => [file, fs.readFileSync(path.join(folder, file), 'utf8')] as const);

  it('has the token of its module and name, and tells its outputs last', () => {
    const components = sources.filter(([, text]) => text.includes('extends pulumi.ComponentResource'));
    expect(components.length).to.be.greaterThan(15);
    for (const [file, text] of components) {
      const name = /export class (\w+)/.exec(text)?.[1];
      expect(text, file).to.contain(`super('standby:${path.dirname(file)}:${name}', name, {}, opts);`);
      const constructor = text.slice(
        text.indexOf('constructor('),
        text.indexOf('\n  }\n', text.indexOf('constructor(')),
      );
      expect(constructor.trimEnd().split('\n').length, `${file}: lines of the constructor`).to.be.at.most(60);
      expect(constructor, file).to.match(/this\.registerOutputs\(\{[^}]*\}\);$/);
    }
  });

  it('imports by module, and reads neither environment nor configuration', () => {
    for (const [file, text] of sources) {
      expect(text, file).not.to.match(/from '@pulumi\/(azure-native|kubernetes|cloudflare|random)'/);
      expect(text, file).not.to.match(/process\.env|pulumi\.Config\b/);
    }
  });
});
