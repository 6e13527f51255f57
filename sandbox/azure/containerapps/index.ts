/** Azure Container Apps. */
import type { Kind } from '../kind';
import { app } from './app';
import { environment } from './environment';

export const kinds: readonly Kind[] = [environment, app];
