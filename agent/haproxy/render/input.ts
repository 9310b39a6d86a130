import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import type { Config } from '../../../shared/config/config.ts';
import { parseKeyList } from '../../../shared/snapshot/keys.ts';

/** Everything that HAProxy's files are rendered from. */
export interface RenderInput {
  config: Config;
  /** The configured instances and those registered at run time. */
  instances: Iterable<RenderInstance>;
  secrets: HaproxySecrets;
  /** HAProxy runs as the distribution's service: user haproxy, chroot. False: it runs as any user. */
  production?: boolean;
  /** The template text; default: the shipped template. */
  template?: string;
}

export interface RenderInstance {
  service: string;
  id: string;
  url: string;
  /** 1–256. */
  weight: number;
  /** 1 is primary; 2 and above are backups, used when no primary is available. */
  priority: number;
  maxconn?: number;
}

export interface HaproxySecrets {
  statsUser: string;
  statsPassword: string;
  /** The value of EDGE_JWT_PUBLIC_KEYS; empty: no edge is trusted. */
  edgePublicKeys: string;
}

/** A file that HAProxy reads. `mode` hides passwords from other users. */
export interface RenderedFile {
  path: string;
  content: string;
  mode: number;
  /** In the configuration: the lines that come from `haproxy.extra`, by their line number from 1. */
  extra?: ReadonlyMap<number, ExtraPlace>;
}

/** A line of `haproxy.extra`. */
export interface ExtraPlace {
  path: readonly string[];
  /** From 0, within the snippet. */
  index: number;
}

/** All files except the configuration are in one folder beside it, separate from the distribution's files. */
export function haproxyPaths(config: Config) {
  const folder = join(dirname(config.haproxy.file), 'acgs-lb');
  return {
    config: config.haproxy.file,
    folder,
    routes: join(folder, 'routes.map'),
    hosts: join(folder, 'hosts.map'),
    services: join(folder, 'services.map'),
    longLived: join(folder, 'long-lived.map'),
    lua: join(folder, 'hop-by-hop.lua'),
    errors: join(folder, 'errors'),
    state: join(folder, 'servers.state'),
    edgeKey: (kid: string) => join(folder, `edge-${fileNameOf(kid)}.pem`),
    clientCertificate: (service: string) => join(folder, `client-${service}.pem`),
  };
}

/** A key id can be any text, so ids that are unsafe as a file name are hashed. */
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
    service.instances.map((instance) => toRenderInstance({ ...instance, service: service.id })),
  );
}

/** Copies only the settings that HAProxy's files depend on. */
export const toRenderInstance = ({
  service,
  id,
  url,
  weight,
  priority,
  maxconn,
}: Omit<RenderInstance, 'maxconn'> & { maxconn?: number | undefined }): RenderInstance => ({
  service,
  id,
  url,
  weight,
  priority,
  ...(maxconn === undefined ? {} : { maxconn }),
});
