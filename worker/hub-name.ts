/** The name of the only `SnapshotHub`. Objects of earlier versions are named after their sites, which cannot contain `*`. */
export const HUB_NAME = '*';
