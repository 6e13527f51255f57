/** Reads what the sites' stacks tell. It is read from the state, so a site that is gone is read like any other. */
import * as pulumi from '@pulumi/pulumi';
import { sites, type Hosts, type Site } from '../config/fields';
import { parseSecrets, parseSite, type FailoverOutputs, type SiteOutputs, type SiteSecrets } from '../config/outputs';

export interface KnownSite {
  readonly outputs: SiteOutputs;
  readonly secrets: pulumi.Output<SiteSecrets>;
}
export type KnownSites = Readonly<Record<Site, KnownSite>>;

async function readSite(site: Site): Promise<KnownSite> {
  const stack = `${pulumi.getOrganization()}/${pulumi.getProject()}/${site}`;
  const reference = new pulumi.StackReference(stack);
  const details = await reference.getOutputDetails('site');
  const outputs = parseSite(site, details.value as unknown);
  return { outputs, secrets: reference.getOutput('secrets').apply((secrets) => parseSecrets(site, secrets)) };
}

/** @throws StackOutputError when a site has not been built, or by another version of this program. */
export async function readSites(): Promise<KnownSites> {
  const [prod, intg] = await Promise.all(sites.map(readSite));
  return { prod, intg } as KnownSites;
}

/** @returns one line for each site that was built for other hosts than the switch has; its identity provider refuses them. */
export const hostMismatches = (known: KnownSites, hosts: Hosts): string[] =>
  sites.flatMap((site) => {
    const theirs = known[site].outputs.hosts;
    const other = Object.entries(hosts).filter(([name, host]) => theirs[name as keyof Hosts] !== host);
    return other.map(
      ([name, host]) =>
        `standby:hosts.${name} is "${host}" here and "${theirs[name as keyof Hosts]}" in stack ${site}: make them equal, update ${site} first`,
    );
  });

/**
 * Says in a site's own update that the business runs elsewhere. The fence is none of this stack's: what is said here changes
 * nothing, and where the failover stack can't be read nothing is said.
 */
export async function sayWhoIsActive(site: Site): Promise<void> {
  const name = `${pulumi.getOrganization()}/${pulumi.getProject()}/failover`;
  try {
    const answer = (await pulumi.runtime.invoke('pulumi:pulumi:readStackOutputs', { name })) as {
      readonly outputs?: Partial<Pick<FailoverOutputs, 'activeSite' | 'epoch'>>;
    };
    const { activeSite, epoch } = answer.outputs ?? {};
    if (activeSite === undefined || activeSite === site) return;
    void pulumi.log.warn(
      `${site} is fenced: since epoch ${epoch} the business runs on ${activeSite}, and this update changes nothing of that; ` +
        (site === 'prod' ? '`standby failback` brings it home' : '`standby switchover` moves it here'),
    );
  } catch {
    // The failover stack does not exist yet.
  }
}
