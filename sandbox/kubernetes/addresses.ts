/** Which pod has which of the site's pod addresses. */
import { plan, type Site } from '../world';

/** Pods that a node can hold: as many as there are addresses. */
export const podCount = 100;

export class PodAddresses {
  private readonly used = new Set<string>();
  private next = 0;

  constructor(private readonly site: Site) {}

  /** Round robin, so that an address is not given again while somebody may still call its last owner. */
  take(): string {
    for (let tried = 0; tried < podCount; tried += 1) {
      const address = plan[this.site].pod(this.next);
      this.next = (this.next + 1) % podCount;
      if (this.used.has(address)) continue;
      this.used.add(address);
      return address;
    }
    throw new Error(`all ${podCount} pod addresses of ${this.site} are taken; delete pods that are not needed`);
  }

  /** An address that a pod already has. */
  keep(address: string): void {
    this.used.add(address);
  }

  giveBack(address: string): void {
    this.used.delete(address);
  }
}
