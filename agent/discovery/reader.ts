import type { DiscoveryConfig } from '../../shared/config/discovery.ts';
import { resolveSecret } from '../../shared/config/secret-references.ts';
import type { InstanceSourceReader } from './source.ts';
import { createConsulReader } from './sources/consul.ts';
import { createDnsReader } from './sources/dns.ts';
import { createDockerReader } from './sources/docker.ts';
import { createFileReader } from './sources/file.ts';

/** `variable` reads a secret from the environment. */
export function createReader(
  config: DiscoveryConfig,
  variable: (name: string) => string | undefined,
): InstanceSourceReader {
  if (config.file !== undefined) return createFileReader(config.file);
  if (config.docker) return createDockerReader({ ...config, labels: config.docker });
  if (config.consul !== undefined) {
    const token = config.token === undefined ? undefined : resolveSecret(config.token, variable);
    return createConsulReader({ ...config, name: config.consul }, token);
  }
  return createDnsReader({ ...config, name: config.dns ?? '' });
}
