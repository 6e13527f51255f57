/**
 * Logins that follow from the epoch: each epoch has its own, so that a site which missed a change of role can't write with what it
 * has. They are derived from a site's secret, not stored: the program, the engine and the agents come to the same ones.
 */
import { createHmac } from 'node:crypto';

/** Role that owns the applications' tables; nobody logs in as it. */
export const ownerRole = (company: string): string => `${company}_owner`;

/** Role that the applications of an epoch log in as: a member of the owner while that epoch may write, else a reader. */
export const epochRole = (company: string, epoch: number): string => `${company}_e${epoch}`;

/** @param databasePassword - secret `databasePassword` of the stack `prod`. */
export const epochPassword = (databasePassword: string, epoch: number): string =>
  derived(databasePassword, `database epoch ${epoch}`);

/** Key with which agents and the engine prove to each other who speaks. */
export const agentKey = (databasePassword: string): string => derived(databasePassword, 'agents');

const derived = (secret: string, purpose: string) => createHmac('sha256', secret).update(purpose).digest('base64url');
