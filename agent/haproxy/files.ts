import type { Config } from '../../shared/config/config.ts';
import type { Instance } from '../state.ts';
import {
  configInstances,
  type HaproxySecrets,
  haproxyPaths,
  type RenderInput,
  type RenderInstance,
} from './input.ts';
import { HaproxyMissing, installHaproxyConfig, judgeHaproxyConfig, replaceFile } from './install.ts';
import { fingerprintOf } from './render.ts';

/** The files of our own HAProxy, written anew when what they are made from has changed. */
export interface Files {
  /** The instances as they are now; nothing is written yet. */
  instances(instances: readonly Instance[]): void;
  /** The configuration may have changed. */
  touch(): void;
  /** Something has changed since the files were last written. */
  isDue(): boolean;
  /** The servers that stand in the files. */
  written(): readonly RenderInstance[];
  /** Writes what is due. Throws HaproxyConfigError, nothing written, when HAProxy would refuse it. */
  write(): Promise<void>;
  /** Judges a configuration without writing anything. */
  check(config: Config): Promise<void>;
  /** What a HAProxy that runs these files shows as its description. */
  fingerprint(): string;
  /** Server states for the next start or reload to begin with. */
  saveStates(states: string): Promise<void>;
}

export interface FilesOptions {
  config: () => Config;
  secrets: HaproxySecrets;
  production?: boolean;
}

export function createFiles({ config, secrets, production = false }: FilesOptions): Files {
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
    instances(instances) {
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
    touch() {
      due = true;
      fingerprint = '';
    },
    isDue: () => due,
    written: () => written,
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
    async check(next) {
      const registered = servers.filter((server) => next.services[server.service]);
      const known = new Set(configInstances(next).map(({ service, id }) => `${service}/${id}`));
      const instances = [
        ...configInstances(next),
        ...registered.filter(({ service, id }) => !known.has(`${service}/${id}`)),
      ];
      // Where no HAProxy is installed there is nothing that could refuse.
      await judgeHaproxyConfig({ config: next, instances, secrets, production }).catch((error: unknown) => {
        if (!(error instanceof HaproxyMissing)) throw error;
      });
    },
    fingerprint: known,
    saveStates: (states) =>
      replaceFile({ path: haproxyPaths(config()).state, content: `${states.trim()}\n`, mode: 0o644 }),
  };
}
