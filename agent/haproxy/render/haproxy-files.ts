import type { Config } from '../../../shared/config/config.ts';
import { type AdminState, type Instance, instanceKey } from '../../core/state.ts';
import {
  configInstances,
  type HaproxySecrets,
  haproxyPaths,
  type RenderInput,
  type RenderInstance,
  toRenderInstance,
} from './input.ts';
import {
  contentOf,
  HaproxyNotInstalled,
  installHaproxyConfig,
  replaceFile,
  validateHaproxyConfig,
} from './install.ts';
import { fingerprintOf } from './render.ts';
import { recordedAdminStates } from './state-file.ts';

/** The files of this agent's own HAProxy, rewritten when their input changes. */
export interface HaproxyFiles {
  /** The current instances. Writes nothing. */
  setInstances(instances: readonly Instance[]): void;
  /** The configuration may have changed. */
  markStale(): void;
  /** The input changed since the last write. */
  isStale(): boolean;
  /** The servers in the written files. */
  writtenServers(): readonly RenderInstance[];
  /** Writes the files if they are stale. Throws HaproxyConfigError, and writes nothing, when HAProxy rejects them. */
  write(): Promise<void>;
  /** Validates a configuration without writing it. */
  validate(config: Config): Promise<void>;
  /** The description that a HAProxy with these files shows. */
  fingerprint(): string;
  /** Saves the server states that HAProxy loads at its next start or reload. */
  saveStateFile(text: string): Promise<void>;
  /** The admin states in the state file that the agent set, by `backend/instance`. */
  recordedAdmin(): Promise<ReadonlyMap<string, AdminState>>;
}

export interface HaproxyFilesOptions {
  config: () => Config;
  secrets: HaproxySecrets;
  production?: boolean;
}

export function createHaproxyFiles({
  config,
  secrets,
  production = false,
}: HaproxyFilesOptions): HaproxyFiles {
  let servers: RenderInstance[] = configInstances(config());
  let written = servers;
  let cachedFingerprint = '';
  let stale = true;

  const fingerprint = (): string => {
    cachedFingerprint ||= fingerprintOf(input());
    return cachedFingerprint;
  };
  const input = (): RenderInput => ({ config: config(), instances: servers, secrets, production });

  return {
    setInstances(instances) {
      if (isSameList(instances, servers)) return;
      servers = instances.map(toRenderInstance);
      stale = true;
    },
    markStale() {
      stale = true;
      cachedFingerprint = '';
    },
    isStale: () => stale,
    writtenServers: () => written,
    async write() {
      if (!stale) return;
      // A change during the write makes the files stale again.
      stale = false;
      const writing = servers;
      await installHaproxyConfig(input(), fingerprint()).catch((error: unknown) => {
        stale = true;
        throw error;
      });
      written = writing;
    },
    async validate(next) {
      const configured = configInstances(next);
      const known = new Set(configured.map(({ service, id }) => instanceKey(service, id)));
      const registered = servers.filter(
        ({ service, id }) => next.services[service] && !known.has(instanceKey(service, id)),
      );
      const instances = [...configured, ...registered];
      await validateHaproxyConfig({ config: next, instances, secrets, production }).catch(
        (error: unknown) => {
          // Without HAProxy on this machine the configuration cannot be validated.
          if (!(error instanceof HaproxyNotInstalled)) throw error;
        },
      );
    },
    fingerprint,
    saveStateFile: (content) => replaceFile({ path: haproxyPaths(config()).state, content, mode: 0o644 }),
    recordedAdmin: async () => recordedAdminStates((await contentOf(haproxyPaths(config()).state)) ?? ''),
  };
}

/** Compares only the properties that HAProxy's files depend on. */
const isSameList = (instances: readonly Instance[], servers: readonly RenderInstance[]): boolean =>
  instances.length === servers.length &&
  instances.every((instance, index) => isSameServer(instance, servers[index]));

const isSameServer = (instance: Instance, server: RenderInstance | undefined): boolean =>
  instance.service === server?.service &&
  instance.id === server.id &&
  instance.url === server.url &&
  instance.weight === server.weight &&
  instance.priority === server.priority &&
  instance.maxconn === server.maxconn;
