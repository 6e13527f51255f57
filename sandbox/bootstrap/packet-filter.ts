/** The means to silence a site: the packet filter for root, who may set one; stopping the site's processes for anybody else. */
import { isRoot } from '../process';
import { findExecutable } from './find';
import { installPackages } from './packages';
import { step, type Context } from './step';

export function preparePacketFilter(context: Context): Promise<void> {
  return step(context, 'silence', async () => {
    const there = () => findExecutable('nft') !== undefined && findExecutable('ss') !== undefined;
    if (!isRoot)
      return [undefined, 'a site is silenced by stopping its processes, as only root may set a packet filter'];
    if (there() || ((await installPackages(context, ['nftables', 'iproute2'])) && there())) {
      return [undefined, 'a site is silenced by the packet filter'];
    }
    return [
      undefined,
      'a site is silenced by stopping its processes, as nft and ss are missing (apt-get install nftables iproute2)',
    ];
  });
}
