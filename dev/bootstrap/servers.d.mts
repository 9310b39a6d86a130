export type ServerName = 'haproxy' | 'redis' | 'postgres';
export function missingServers(options?: { embedded?: boolean }): ServerName[];
export function findPostgres(): string | null;
export function installCommand(servers: readonly ServerName[]): string | null;
