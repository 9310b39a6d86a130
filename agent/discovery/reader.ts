import type { DiscoveryConfig } from '../../shared/config/discovery.ts';
import type { InstanceSourceReader } from './source.ts';
import { createDnsReader } from './sources/dns.ts';
import { createFileReader } from './sources/file.ts';

export function createReader(config: DiscoveryConfig): InstanceSourceReader {
  if (config.file !== undefined) return createFileReader(config.file);
  return createDnsReader({ ...config, name: config.dns ?? '' });
}
