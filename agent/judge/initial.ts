import type { Config } from '../../shared/config/config.ts';
import type { InstanceSource } from '../core/judge-event.ts';
import { instanceKey } from '../core/state.ts';
import { type InstanceRecord, newRecord } from './instance-record.ts';
import { resume } from './resume.ts';

/** The instances in the configuration file, by `service/instance`. */
export function fileSources(config: Config): Map<string, InstanceSource> {
  const sources = Object.values(config.services).flatMap((service) =>
    service.instances.map(
      (instance): InstanceSource => ({ ...instance, service: service.id, origin: 'file' }),
    ),
  );
  return new Map(sources.map((source) => [instanceKey(source.service, source.id), source]));
}

/**
 * The records at the agent's start. An instance of the file resumes its saved record if its address is unchanged, or
 * starts unchecked and needs no slow start, because it probably served before the agent started. A saved registration
 * also resumes; the registry confirms or removes it afterwards.
 */
export function initialRecords(
  config: Config,
  saved: ReadonlyMap<string, InstanceRecord> | null,
  now: number,
): InstanceRecord[] {
  const fromFile = [...fileSources(config)].map(([key, source]) => {
    const before = saved?.get(key);
    return before?.source.url === source.url ? resume(before, source, now) : newRecord(source, true, now);
  });
  const registered = [...(saved?.values() ?? [])]
    .filter(({ source }) => source.origin !== 'file' && config.services[source.service])
    .filter(({ source }) => !fromFile.some((record) => record.source.id === source.id))
    .map((record) => resume(record, record.source, now));
  return [...fromFile, ...registered];
}
