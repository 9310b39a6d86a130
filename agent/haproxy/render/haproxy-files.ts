import type { Config } from '../../../shared/config/config.ts';
import type { Instance } from '../../core/state.ts';
import {
  configInstances,
  type HaproxySecrets,
  haproxyPaths,
  type RenderInput,
  type RenderInstance,
} from './input.ts';
import { HaproxyNotInstalled, installHaproxyConfig, replaceFile, validateHaproxyConfig } from './install.ts';
import { fingerprintOf } from './render.ts';

/** The files of our own HAProxy, written anew when what they are made from has changed. */
export interface HaproxyFiles {
  /** The instances as they are now; nothing is written yet. */
  setInstances(instances: readonly Instance[]): void;
  /** The configuration may have changed. */
  markStale(): void;
  /** Something has changed since the files were last written. */
  isStale(): boolean;
  /** The servers that stand in the files. */
  writtenServers(): readonly RenderInstance[];
  /** Writes what is due. Throws HaproxyConfigError, nothing written, when HAProxy would refuse it. */
  write(): Promise<void>;
  /** Judges a configuration without writing anything. */
  validate(config: Config): Promise<void>;
  /** What a HAProxy that runs these files shows as its description. */
  fingerprint(): string;
  /** Server states for the next start or reload to begin with. */
  saveServerStates(states: string): Promise<void>;
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
  let fingerprint = '';
  let wanted = '';
  let due = true;

  const known = (): string => {
    fingerprint ||= fingerprintOf(input());
    return fingerprint;
  };
  const input = (): RenderInput => ({ config: config(), instances: servers, secrets, production });

  return {
    setInstances(instances) {
      const next = instances.map(({ service, id, url, weight, priority, maxconn }) => ({
        service,
        id,
        url,
        weight,
        priority,
        ...(maxconn === undefined ? {} : { maxconn }),
      }));
      const text = JSON.stringify(next);
      if (text === wanted) return;
      wanted = text;
      servers = next;
      due = true;
    },
    markStale() {
      due = true;
      fingerprint = '';
    },
    isStale: () => due,
    writtenServers: () => written,
    async write() {
      if (!due) return;
      // What comes while this is written is due again.
      due = false;
      const writing = servers;
      await installHaproxyConfig(input(), known()).catch((error: unknown) => {
        due = true;
        throw error;
      });
      written = writing;
    },
    async validate(next) {
      const registered = servers.filter((server) => next.services[server.service]);
      const known = new Set(configInstances(next).map(({ service, id }) => `${service}/${id}`));
      const instances = [
        ...configInstances(next),
        ...registered.filter(({ service, id }) => !known.has(`${service}/${id}`)),
      ];
      // Where no HAProxy is installed there is nothing that could refuse.
      await validateHaproxyConfig({ config: next, instances, secrets, production }).catch(
        (error: unknown) => {
          if (!(error instanceof HaproxyNotInstalled)) throw error;
        },
      );
    },
    fingerprint: known,
    saveServerStates: (states) =>
      replaceFile({ path: haproxyPaths(config()).state, content: `${states.trim()}\n`, mode: 0o644 }),
  };
}
