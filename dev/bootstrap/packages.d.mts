export function packagesAreCurrent(root: string): boolean;
