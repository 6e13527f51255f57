/** The npm packages that a program names, as they are installed. */
import * as fs from 'node:fs';
import * as path from 'node:path';

export interface InstalledDependency {
  readonly name: string;
  readonly version: string;
  /** The provider plugin that goes with it, when it is a Pulumi SDK. `version` as the engine wants it: `v1.2.3`. */
  readonly plugin?: { readonly name: string; readonly version: string; readonly server?: string };
}

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly pulumi?: {
    readonly resource?: boolean;
    readonly name?: string;
    readonly version?: string;
    readonly server?: string;
  };
}

/** @returns the first `relative` in `folder` or above it. */
function readUpwards(
  folder: string,
  relative: string,
): { readonly folder: string; readonly manifest: Manifest } | undefined {
  for (let here = folder; ; here = path.dirname(here)) {
    const file = path.join(here, relative);
    if (fs.existsSync(file)) return { folder: here, manifest: JSON.parse(fs.readFileSync(file, 'utf8')) as Manifest };
    if (here === path.dirname(here)) return undefined;
  }
}

/** @returns the direct dependencies of the package that `folder` is in; one that is not installed is left out. */
export function installedDependencies(folder: string): InstalledDependency[] {
  const program = readUpwards(folder, 'package.json');
  if (!program) return [];
  const names = Object.keys({ ...program.manifest.dependencies, ...program.manifest.devDependencies });
  return names.flatMap((name) => {
    const found = readUpwards(program.folder, path.join('node_modules', name, 'package.json'));
    return found ? [describe(found.manifest)] : [];
  });
}

function describe({ name, version, pulumi }: Manifest): InstalledDependency {
  if (!pulumi?.resource) return { name, version };
  const plugin = {
    name: pulumi.name ?? name.replace(/^@pulumi\//, ''),
    version: `v${(pulumi.version ?? version).replace(/^v/, '')}`,
    ...(pulumi.server ? { server: pulumi.server } : {}),
  };
  return { name, version, plugin };
}
