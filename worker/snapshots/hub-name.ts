/**
 * The name of the only `SnapshotHub`. Objects of earlier versions have the names of their sites, which never contain
 * `*`.
 */
export const HUB_NAME = '*';
