/** When Azure's own backup of a server was last restored and looked into: what this machine's drills have written down. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { z } from 'zod';
import { rowsCheck } from '../../failover/drill';
import type { Instant } from '../../failover/model';
import { runsFolder } from '../journal/local';

const evidenceSchema = z.object({
  plan: z.object({ source: z.object({ server: z.string(), method: z.string() }) }),
  endedAt: z.number(),
  checks: z.array(z.object({ name: z.string(), outcome: z.string() })),
});

/**
 * A drill copies a server by the backup that branch 1b would take, and counts its rows. A clone proves nothing of that backup.
 * @returns undefined where no drill of this machine did: others may have.
 */
export function lastProof(
  environment: Readonly<Record<string, string | undefined>>,
  server: string,
): Instant | undefined {
  const proofs = evidenceFiles(runsFolder(environment)).flatMap((file) => {
    const { data } = evidenceSchema.safeParse(parsed(file));
    if (data?.plan.source.server !== server || data.plan.source.method !== 'geoRestore') return [];
    return data.checks.some(({ name, outcome }) => name === rowsCheck && outcome === 'passed') ? [data.endedAt] : [];
  });
  return proofs.length > 0 ? Math.max(...proofs) : undefined;
}

function evidenceFiles(folder: string): string[] {
  if (!fs.existsSync(folder)) return [];
  const names = fs.readdirSync(folder).filter((name) => /^drill-\d+$/.test(name));
  return names.map((name) => path.join(folder, name, 'evidence.json'));
}

function parsed(file: string): unknown {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch {
    return undefined; // cut off while it was written, or removed
  }
}
