import type { Config } from '../../shared/config/config.ts';
import { instanceKey } from '../core/state.ts';
import { type InstanceRecord, type InstanceSource, newRecord } from './instance-record.ts';
import { resume } from './resume.ts';

/** The instances the file names, as sources of records, by `service/instance`. */
export function fileSources(config: Config): Map<string, InstanceSource> {
  const sources = Object.values(config.services).flatMap((service) =>
    service.instances.map(
      (instance): InstanceSource => ({ ...instance, service: service.id, origin: 'file' }),
    ),
  );
  return new Map(sources.map((source) => [instanceKey(source.service, source.id), source]));
}

/**
 * What the agent begins with: instances of the file as they were judged before; those it does not know, or knows at
 * another address, unproven. These most likely served before the agent came, so their first proof needs no slow start.
 * Registrations come back through the registry; what is saved of them is kept for that moment.
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
    .filter(({ source }) => source.origin === 'api' && config.services[source.service])
    .filter(({ source }) => !fromFile.some((record) => record.source.id === source.id))
    .map((record) => resume(record, record.source, now));
  return [...fromFile, ...registered];
}
