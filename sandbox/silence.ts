/**
 * A site, or only its cluster, goes silent: packets to it are dropped, so connections hang as they do when a region is gone,
 * and nothing is refused. Processes of the site still reach each other. Without root the site's processes are frozen instead.
 *
 * An isolated site is cut off from everything but its users: the edge reaches its ingress, its pods reach its database and its
 * resolver, and packets between it and the other site, the vendors, the store and the operators are dropped, both ways.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { SandboxError } from './error';
import { freeze, isRoot } from './process';
import { folders, nftTable, outside, plan, sites, type Site } from './world';

export type Silence = 'none' | 'cluster' | 'site' | 'isolated';
const stateFile = path.join(folders.run, 'silence.json');

/** What is silent now. Read from disk at each call, so that every process of the sandbox sees the same. */
export function silence(): Readonly<Record<Site, Silence>> {
  try {
    return JSON.parse(fs.readFileSync(stateFile, 'utf8')) as Record<Site, Silence>;
  } catch {
    return { prod: 'none', intg: 'none' };
  }
}

/** Nobody outside the site gets to what is there: its servers, its storage, its part of the vendors' control planes. */
export const isCutOff = (site: Site): boolean => ['site', 'isolated'].includes(silence()[site]);

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

/**
 * Sets how silent a site is; `none` brings it back. Idempotent.
 * @throws SandboxError when a site is to be isolated by somebody who may not set a packet filter.
 */
export function setSilence(site: Site, how: Silence): void {
  if (how === 'isolated' && meansOfSilence() !== 'packet filter') {
    throw new SandboxError(
      'NeedsPacketFilter',
      `${site} can't be isolated: it takes root and nft, for a frozen site serves nobody; run as root, or silence all of it: standby sandbox silence ${site}`,
    );
  }
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
  const rules = sites.flatMap((site) => rulesOf(site, state[site]));
  const table = `table inet ${nftTable}\ndelete table inet ${nftTable}\n`;
  const chain = `table inet ${nftTable} {\nchain output {\ntype filter hook output priority 0\n${rules.join('\n')}\n}\n}\n`;
  execFileSync('nft', ['-f', '-'], { input: table + (rules.length ? chain : '') });
}

/** A packet is dropped where it is sent: the group tells who sends it. */
function rulesOf(site: Site, how: Silence): string[] {
  const { range, clusterRange, gid, resolver } = plan[site];
  const strangers = `meta skgid != ${gid}`;
  switch (how) {
    case 'none':
      return [];
    case 'cluster':
      return [`ip daddr ${clusterRange} ${strangers} drop`];
    case 'site':
      return [`ip daddr ${range} ${strangers} drop`];
    case 'isolated': {
      // A resolver belongs to the network that it serves.
      const heard = `{ ${outside.edge}, ${resolver} }`;
      const others = sites.filter((each) => each !== site).map((each) => plan[each].range);
      const elsewhere = `{ ${[...others, outside.range].join(', ')} }`;
      return [
        `ip daddr ${range} ${strangers} ip saddr != ${heard} drop`,
        `ip daddr ${elsewhere} ip daddr != ${heard} meta skgid ${gid} drop`,
      ];
    }
  }
}

function dropConnections(site: Site): void {
  try {
    execFileSync('ss', ['-K', 'dst', plan[site].range], { stdio: 'ignore' });
  } catch {
    // Without `ss` they come back by themselves, later.
  }
}
