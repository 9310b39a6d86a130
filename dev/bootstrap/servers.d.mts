export type ServerName = 'haproxy' | 'redis' | 'postgres';
export type TestTool = 'chromium' | 'prometheus';
export function missingTestTools(tools?: Record<string, { find(): string | null }>): TestTool[];
export function missingServers(options?: { embedded?: boolean }): ServerName[];
export function findPostgres(): string | null;
export function aptScript(options?: { policy?: string; units?: string }): string;
export function installCommand(servers: readonly (ServerName | TestTool)[]): string | null;

/** The path of a Python that has Flask, or null. */
export declare function findFlaskPython(): string | null;
