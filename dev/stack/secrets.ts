import { existsSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import writeFileAtomic from 'write-file-atomic';
import {
  gatewayPublicKey,
  generateSiteSecrets,
  snapshotPublicKey,
} from '../../agent/snapshot/signing-keys.ts';
import { newPassword } from '../servers/password.ts';

/** Secrets of the local stack, created once per state folder. Formats: shared/snapshot/keys.ts. */
export type StackSecrets = ReturnType<typeof loadSecrets>;

/** Reads the file, creates missing secrets, derives the public keys, and writes the file with mode 0600. */
export function loadSecrets(file: string, site: string) {
  const kept = existsSync(file) ? parseEnv(readFileSync(file, 'utf8')) : {};
  const { agent, edge } = generateSiteSecrets(site, new Date());
  const keptOrNew = (name: string): string => kept[name] || agent[name] || edge[name] || newPassword();
  const signing = keptOrNew('SNAPSHOT_SIGNING_KEY');
  const gateway = keptOrNew('GATEWAY_JWT_KEY');
  const secrets = {
    ACGS_TOKEN: keptOrNew('ACGS_TOKEN'),
    EDGE_TOKEN: keptOrNew('EDGE_TOKEN'),
    HAPROXY_STATS_USER: keptOrNew('HAPROXY_STATS_USER'),
    HAPROXY_STATS_PASSWORD: keptOrNew('HAPROXY_STATS_PASSWORD'),
    REDIS_PASSWORD: keptOrNew('REDIS_PASSWORD'),
    COOKIE_KEYS: keptOrNew('COOKIE_KEYS'),
    SNAPSHOT_SIGNING_KEY: signing,
    SNAPSHOT_PUBLIC_KEYS: snapshotPublicKey(site, signing),
    GATEWAY_JWT_KEY: gateway,
    EDGE_JWT_PUBLIC_KEYS: gatewayPublicKey(gateway),
  };
  const lines = Object.entries(secrets).map(([name, value]) => `${name}=${value}\n`);
  const comment = '# Created by npm start for this machine only. Delete the file to get new secrets.\n';
  writeFileAtomic.sync(file, comment + lines.join(''), { mode: 0o600 });
  return secrets;
}
