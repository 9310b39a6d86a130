import { ID_PATTERN } from '../config/id-pattern.ts';
import { importVerifyKeys } from './keys.ts';
import { type SnapshotVerifyKey, signDocument, verifyDocument, type WebCryptoKey } from './signature.ts';

/**
 * The site directory: the sites that the edge serves in addition to those in `SITES`, and the public keys of each. It is
 * signed with a key that no agent has, so a site cannot add or change another site.
 */
export interface SiteDirectory {
  v: 1;
  kind: 'site-directory';
  /** Epoch milliseconds. A directory replaces one with a smaller number. */
  seq: number;
  /** Entries of the form of SNAPSHOT_PUBLIC_KEYS: `<site>:<kid>:<base64url raw Ed25519>`. */
  entries: readonly string[];
}

/** The name under which Hub and KV store the directory. No site id starts with "@". */
export const SITE_DIRECTORY = '@sites';
export const MAX_DIRECTORY_ENTRIES = 1_000;

export const signSiteDirectory = (
  directory: SiteDirectory,
  key: { kid: string; privateKey: WebCryptoKey },
): Promise<Uint8Array<ArrayBuffer>> => signDocument(directory, key);

export interface OpenedSiteDirectory {
  readonly seq: number;
  /** The keys of all sites in the directory. */
  readonly keys: readonly SnapshotVerifyKey[];
}

/** Verifies, then parses. `directoryKeys`: keys of SITE_DIRECTORY_KEYS. `signed`: the signature was valid. */
export async function openSiteDirectory(
  sealed: Uint8Array<ArrayBuffer>,
  directoryKeys: readonly SnapshotVerifyKey[],
): Promise<({ ok: true } & OpenedSiteDirectory) | { ok: false; why: string; signed: boolean }> {
  const opened = await verifyDocument(sealed, SITE_DIRECTORY, directoryKeys);
  if (!opened.ok) return { ...opened, signed: false };
  const directory = opened.document as Partial<SiteDirectory> | null;
  const refused = (why: string) => ({ ok: false, why, signed: true }) as const;
  if (directory?.v !== 1 || directory.kind !== 'site-directory') return refused('not a site directory');
  const { seq, entries } = directory;
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq <= 0) return refused('seq is invalid');
  if (!Array.isArray(entries) || !entries.every((one) => typeof one === 'string' && !one.includes(','))) {
    return refused('entries must be a list of <site>:<kid>:<key>');
  }
  if (entries.length > MAX_DIRECTORY_ENTRIES) return refused(`more than ${MAX_DIRECTORY_ENTRIES} entries`);
  try {
    const keys = await importVerifyKeys(entries.join(','), 'the site directory');
    const invalid = keys.find(({ site }) => !ID_PATTERN.test(site));
    return invalid ? refused(`"${invalid.site.slice(0, 80)}" is not a site id`) : { ok: true, seq, keys };
  } catch (error) {
    return refused(error instanceof Error ? error.message : String(error));
  }
}

/**
 * The keys of the directory that the edge may use: sites in `SITES` keep the keys of the environment, and a key id that
 * the environment uses stays with its site.
 */
export function usableKeys(
  directory: readonly SnapshotVerifyKey[],
  { sites, verifyKeys }: { sites: readonly string[]; verifyKeys: readonly SnapshotVerifyKey[] },
): SnapshotVerifyKey[] {
  return directory.filter(
    ({ site, kid }) => !sites.includes(site) && !verifyKeys.some((known) => known.kid === kid),
  );
}
