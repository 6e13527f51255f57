import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { buildParts, readToolchain } from '../../sandbox/bootstrap';

describe('the toolchain', function () {
  this.timeout(60_000);
  it('leads to programs that are there, in the versions that it names', () => {
    const { pulumi, java, keycloak, kubebox, versitygw, postgresBin, postgresVersion } = readToolchain();
    for (const file of [pulumi.path, java.path, kubebox.path, versitygw.path]) fs.accessSync(file, fs.constants.X_OK);
    expect(execFileSync(pulumi.path, ['version'], { encoding: 'utf8' }).trim()).to.equal(`v${pulumi.version}`);
    expect(execFileSync(`${postgresBin}/postgres`, ['--version'], { encoding: 'utf8' })).to.contain(
      ` ${postgresVersion}`,
    );
    expect(fs.readFileSync(`${keycloak.home}/version.txt`, 'utf8')).to.contain(keycloak.version);
  });

  it('has a schema for Keycloak without any row but the migrations’ own: no realm, no key, no user', () => {
    const schema = fs.readFileSync(readToolchain().keycloak.schema, 'utf8');
    const tables = [...schema.matchAll(/INSERT INTO public\.(\w+)/g)].map(([, table]) => table);
    expect([...new Set(tables)].sort()).to.deep.equal(['databasechangelog', 'databasechangeloglock']);
    expect(schema)
      .to.match(/CREATE TABLE public\.realm /)
      .and.to.not.match(/^(COPY|\\)/m);
  });

  it('bundles every part', async () => {
    const files = await buildParts();
    expect(files.map((file) => path.basename(file)).sort()).to.deep.equal(
      ['agent', 'application', 'azure', 'blob', 'clock', 'cloudflare', 'hook', 'node-agent', 'providers', 'relay'].map(
        (name) => `${name}.js`,
      ),
    );
    for (const file of files) execFileSync(process.execPath, ['--check', file]);
  });
});
