export function fullPath(path?: string): string;
export function findProgram(name: string, folders?: string[]): string | null;
