export function lock(what: string, waiting: (pid: string) => void): Promise<() => void>;
