import { join } from 'node:path';
import type { Config } from '../../shared/config/config.ts';
import { importSigningKey } from '../../shared/snapshot/keys.ts';
import type { SnapshotPins } from '../../shared/snapshot/snapshot.ts';
import type { Environment } from '../core/environment.ts';
import type { Leader } from '../core/leader.ts';
import { readJsonFile, writeFileAtomic } from '../lib/atomic-file.ts';
import type { Log } from '../lib/log.ts';
import { httpFetch } from './http-fetch.ts';
import { createIngestPublisher } from './ingest.ts';
import { createKvApiPublisher } from './kv-api.ts';
import { parseOrder, type SnapshotPublisher } from './publisher.ts';
import { createSnapshotSink, type SnapshotSink } from './sink.ts';

interface OpenSnapshotSinkOptions {
  config(): Config;
  env: Environment;
  stateDir: string;
  leader: Leader;
  pins?(): SnapshotPins;
  log: Log;
}

/** Null when no publisher is configured or SNAPSHOT_SIGNING_KEY is not set. */
export async function openSnapshotSink(options: OpenSnapshotSinkOptions): Promise<SnapshotSink | null> {
  const { config, env, stateDir, leader, pins, log } = options;
  const publishers = createPublishers(config(), env);
  if (!env.signingKey || publishers.length === 0) return null;
  const path = join(stateDir, 'snapshot-order.json');
  return createSnapshotSink({
    config,
    signing: await importSigningKey(env.signingKey),
    publishers,
    lastEpoch: parseOrder(await readJsonFile(path).catch(() => null))?.epoch ?? 0,
    saveEpoch(epoch) {
      writeFileAtomic(path, JSON.stringify({ epoch, seq: 0 })).catch((error: Error) =>
        log.warn({ error: error.message }, 'snapshot epoch not saved'),
      );
    },
    mayPublish: () => leader.isLeader(),
    onSuperseded: () => leader.confirm(),
    ...(pins ? { pins } : {}),
    log,
  });
}

/** The `snapshot` member of `/v1/status`. */
export function snapshotStatus(sink: SnapshotSink | null) {
  const published = sink?.published();
  return {
    epoch: published?.order?.epoch ?? 0,
    seq: published?.order?.seq ?? 0,
    publishedAt: published?.at ?? null,
    error: sink?.status().lastError ?? null,
  };
}

function createPublishers(config: Config, env: Environment): SnapshotPublisher[] {
  const { url, publish } = config.edge;
  return [
    ...(publish.ingest && url ? [createIngestPublisher(url, config.site.id, httpFetch)] : []),
    ...(publish.kvApi && env.cloudflare
      ? [createKvApiPublisher({ ...env.cloudflare, site: config.site.id }, httpFetch)]
      : []),
  ];
}
