/** All policies, in the order in which they are listed to people. */
import type { Rule } from '../rule';
import { backupImmutability, backupImmutabilityLocked, backupRetention } from './backup';
import { backupCopies } from './copies';
import { noOpenFirewall, noPublicBlobs } from './exposure';
import { logRetention } from './logs';
import { dataResourcesKept, protectData, protectDataGroups } from './protection';
import { reprotect, secondRegion } from './redundancy';
import { eeaRegionsOnly } from './regions';
import { tls } from './transport';
import { notPrivileged, pinnedImages, workloadProbes, workloadResources } from './workloads';

export const rules: readonly Rule[] = [
  backupRetention,
  secondRegion,
  reprotect,
  backupImmutability,
  backupImmutabilityLocked,
  backupCopies,
  logRetention,
  eeaRegionsOnly,
  tls,
  noOpenFirewall,
  noPublicBlobs,
  protectData,
  protectDataGroups,
  dataResourcesKept,
  workloadProbes,
  workloadResources,
  pinnedImages,
  notPrivileged,
];
