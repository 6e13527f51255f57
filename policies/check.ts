/**
 * The policies on a file, for a pipeline:
 *   node policies/check.js FILE [--profile NAME | --settings FILE] [--list-data]
 * FILE is what `pulumi stack export` or `pulumi preview --json` printed; `-` reads it from a pipe, so that an export with
 * `--show-secrets` need not be written anywhere.
 * Exit code: 0 all is as it must be, 1 something mandatory is violated, 2 bad input.
 */
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { checkPreview } from './preview';
import { parseSettings, PolicyInputError, readJson, readProfile, readSettings, type Settings } from './settings';
import { checkState, dataResources, type Report } from './state';

function chosen(profile: string | undefined, file: string | undefined): Settings {
  if (profile !== undefined) return readProfile(profile, path.join(__dirname, 'profiles'));
  return file === undefined ? parseSettings({}) : readSettings(file);
}

function render(report: Report): string {
  const lines = report.findings.map(({ level, policy, message }) => `${level}  ${policy}  ${message}`);
  return [
    ...lines,
    `${report.resources} judged, ${report.findings.length} found: ${report.passed ? 'passed' : 'refused'}`,
  ].join('\n');
}

/** @returns the exit code. */
export function main(args: string[], print: (line: string) => void = console.log): number {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: { profile: { type: 'string' }, settings: { type: 'string' }, 'list-data': { type: 'boolean' } },
    });
    const [file, ...more] = positionals;
    if (file === undefined || more.length > 0)
      throw new PolicyInputError(`${positionals.length} files given; allowed is one`);
    const content = readJson(file);
    if (values['list-data']) {
      print(JSON.stringify(dataResources(content), null, 2));
      return 0;
    }
    const isPreview = typeof content === 'object' && content !== null && 'steps' in content;
    const report = isPreview ? checkPreview(content) : checkState(content, chosen(values.profile, values.settings));
    print(render(report));
    return report.passed ? 0 : 1;
  } catch (error) {
    if (!(error instanceof PolicyInputError) && !(error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS'))
      throw error;
    print((error as Error).message);
    return 2;
  }
}
