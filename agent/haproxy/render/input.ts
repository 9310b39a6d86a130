import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import type { Config } from '../../../shared/config/config.ts';
import { parseKeyList } from '../../../shared/snapshot/keys.ts';

/** What HAProxy's files are made from. */
export interface RenderInput {
  config: Config;
  /** Those of the file and those registered at run time. */
  instances: Iterable<RenderInstance>;
  secrets: HaproxySecrets;
  /** The distribution's service: runs as user haproxy, in its chroot. Otherwise: any user, root or not. */
  production?: boolean;
  /** The template's text; the shipped one when absent. */
  template?: string;
}

export interface RenderInstance {
  service: string;
  id: string;
  url: string;
  /** 1–256. */
  weight: number;
  /** 1 takes traffic; 2 and above only when no 1 is left. */
  priority: number;
  maxconn?: number;
}

export interface HaproxySecrets {
  statsUser: string;
  statsPassword: string;
  /** EDGE_JWT_PUBLIC_KEYS as it stands in the environment; empty: no edge is trusted. */
  edgePublicKeys: string;
}

/** A file HAProxy needs. `mode` keeps passwords from other users. */
export interface RenderedFile {
  path: string;
  content: string;
  mode: number;
}

/** Everything but the configuration itself lies in one folder beside it, so that no file of the distribution is touched. */
export function haproxyPaths(config: Config) {
  const folder = join(dirname(config.haproxy.file), 'acgs-lb');
  return {
    config: config.haproxy.file,
    folder,
    routes: join(folder, 'routes.map'),
    hosts: join(folder, 'hosts.map'),
    errors: join(folder, 'errors'),
    state: join(folder, 'servers.state'),
    edgeKey: (kid: string) => join(folder, `edge-${fileNameOf(kid)}.pem`),
    clientCertificate: (service: string) => join(folder, `client-${service}.pem`),
  };
}

/** A kid is any text; a file name is not. */
const fileNameOf = (kid: string): string =>
  /^[A-Za-z0-9_-]{1,64}$/.test(kid) ? kid : createHash('sha256').update(kid).digest('hex').slice(0, 16);

export function edgeKeyPems(secrets: HaproxySecrets): { kid: string; pem: string }[] {
  return parseKeyList('EDGE_JWT_PUBLIC_KEYS', secrets.edgePublicKeys).map(({ kid, bytes }) => {
    const base64 = Buffer.from(bytes).toString('base64');
    const lines = base64.match(/.{1,64}/g) ?? [];
    return { kid, pem: `-----BEGIN PUBLIC KEY-----\n${lines.join('\n')}\n-----END PUBLIC KEY-----\n` };
  });
}

export function configInstances(config: Config): RenderInstance[] {
  return Object.values(config.services).flatMap((service) =>
    service.instances.map(({ id, url, weight, priority, maxconn }) => ({
      service: service.id,
      id,
      url,
      weight,
      priority,
      ...(maxconn === undefined ? {} : { maxconn }),
    })),
  );
}
