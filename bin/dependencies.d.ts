export function prepare(): Promise<void>;
export function ensureDependencies(): Promise<void>;
export function registerTypeScript(): void;
export function fail(line: string): never;
export const repository: string;
