import type { App } from '../../config/fields';

/** Key of an application's client secret in the binding. */
export const clientKey = (app: App): string => `client-${app}`;
