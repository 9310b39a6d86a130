import type { Instance } from './state.ts';

type Gauges = Pick<Instance, 'inflight' | 'inflightLimit' | 'longLived' | 'longLivedLimit'>;

/**
 * "full: 100 of 100 connections" when HAProxy may open no more connections to the instance; otherwise null. A full
 * instance has not failed.
 */
export function fullText({
  inflight,
  inflightLimit = 0,
  longLived = 0,
  longLivedLimit = 0,
}: Gauges): string | null {
  const texts = [
    ...(isReached(inflight, inflightLimit) ? [`${inflight} of ${inflightLimit} connections`] : []),
    ...(isReached(longLived, longLivedLimit)
      ? [`${longLived} of ${longLivedLimit} long-lived connections`]
      : []),
  ];
  return texts.length > 0 ? `full: ${texts.join(', ')}` : null;
}

/** 0: no limit. */
const isReached = (count: number, limit: number): boolean => limit > 0 && count >= limit;
