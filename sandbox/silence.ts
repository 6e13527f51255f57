/**
 * A site, or only its cluster, goes silent: packets to it are dropped, so connections hang as they do when a region is gone,
 * and nothing is refused. Processes of the site still reach each other. Without root the site's processes are frozen instead.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { freeze, isRoot } from './process';
import { folders, nftTable, plan, sites, type Site } from './world';

export type Silence = 'none' | 'cluster' | 'site';
const stateFile = path.join(folders.run, 'silence.json');

/** What is silent now. Read from disk at each call, so that every process of the sandbox sees the same. */
export function silence(): Readonly<Record<Site, Silence>> {
  try {
    return JSON.parse(fs.readFileSync(stateFile, 'utf8')) as Record<Site, Silence>;
  } catch {
    return { prod: 'none', intg: 'none' };
  }
}

export const meansOfSilence = (): 'packet filter' | 'stopped processes' =>
  isRoot && hasNft() ? 'packet filter' : 'stopped processes';

function hasNft(): boolean {
  try {
    execFileSync('nft', ['list', 'tables'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Sets how silent a site is; `none` brings it back. Idempotent. */
export function setSilence(site: Site, how: Silence): void {
  const state = { ...silence(), [site]: how };
  if (meansOfSilence() === 'packet filter') applyFilter(state);
  else {
    freeze((record) => record.site === site, false);
    if (how !== 'none')
      freeze((record) => record.site === site && (how === 'site' || record.scope === 'cluster'), true);
  }
  fs.mkdirSync(folders.run, { recursive: true });
  fs.writeFileSync(stateFile + '.new', JSON.stringify(state));
  fs.renameSync(stateFile + '.new', stateFile);
  // Connections that hung through the silence would retry with a long backoff; a region that comes back has forgotten them.
  if (how === 'none' && isRoot) dropConnections(site);
}

function applyFilter(state: Readonly<Record<Site, Silence>>): void {
  const rules = sites
    .filter((site) => state[site] !== 'none')
    .map((site) => {
      const range = state[site] === 'site' ? plan[site].range : plan[site].clusterRange;
      return `ip daddr ${range} meta skgid != ${plan[site].gid} drop`;
    });
  const table = `table inet ${nftTable}\ndelete table inet ${nftTable}\n`;
  const chain = `table inet ${nftTable} {\nchain output {\ntype filter hook output priority 0\n${rules.join('\n')}\n}\n}\n`;
  execFileSync('nft', ['-f', '-'], { input: table + (rules.length ? chain : '') });
}

function dropConnections(site: Site): void {
  try {
    execFileSync('ss', ['-K', 'dst', plan[site].range], { stdio: 'ignore' });
  } catch {
    // Without `ss` they come back by themselves, later.
  }
}
