import type { ProbeObservation } from './target.ts';

/** What an HTTP probe measured. Times in milliseconds; undefined: it did not get that far. */
interface MeasuredProbe {
  /** Null: it passed. */
  error: string | null;
  latencyMs: number;
  firstByteMs: number | undefined;
  /** Of the connection, if this probe opened it. */
  opened: { connectMs?: number | undefined; tlsMs?: number | undefined };
}

export const observationOf = ({
  error,
  latencyMs,
  firstByteMs,
  opened,
}: MeasuredProbe): ProbeObservation => ({
  ok: error === null,
  latencyMs,
  timing: {
    ...(opened.connectMs !== undefined && { connectMs: opened.connectMs }),
    ...(opened.tlsMs !== undefined && { tlsMs: opened.tlsMs }),
    ...(firstByteMs !== undefined && { firstByteMs }),
  },
  ...(error !== null && { error }),
});
