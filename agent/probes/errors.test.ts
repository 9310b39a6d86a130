import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import type { ProbeResult } from '../core/state.ts';
import { failureKind, probeError } from './errors.ts';
import { createProber } from './scheduler.ts';

const config = parseConfig('version: 1\nsite: { id: main }\nservices: { gs: { routes: [/] } }');

/** The probe result for a system error. */
const resultOf = (code: string) =>
  new Promise<ProbeResult>((resolve) => {
    const error = probeError(Object.assign(new Error(code), { code }), '127.0.0.1:8004');
    const prober = createProber({
      createProbe: () => ({ run: async () => ({ ok: false, latencyMs: 1, error }), close() {} }),
      onResult(result) {
        prober.close();
        resolve(result);
      },
    });
    const { health: check } = config.services.gs ?? {};
    if (check)
      prober.sync([{ key: 'gs/gs-1', service: 'gs', instance: 'gs-1', url: 'http://127.0.0.1:8004', check }]);
  });

test('a shortage on the agent host differs from an error of the instance', async () => {
  for (const code of ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'])
    expect(await resultOf(code)).toMatchObject({ ok: false, blind: true });
  const refused = await resultOf('ECONNREFUSED');
  expect(refused.error).toBe('connect refused 127.0.0.1:8004');
  expect(refused.blind).toBeUndefined();
});

test('failed probes are counted by kind, without names and values', () => {
  const kinds = {
    'connect refused 127.0.0.1:8004': 'connect refused',
    'connection closed before the end of the response 127.0.0.1:8004': 'connection closed',
    'no response from gs.internal:8004 within 5000 ms': 'timed out',
    'no connection to gs.internal:8004 within 5000 ms': 'timed out',
    'status 503, expected 200-399': 'status 503',
    'response of gs.internal:8004 is not HTTP (no status line)': 'not HTTP',
    '$.status is "degraded", expected "ok"': 'unexpected body',
    'body does not contain "ready"': 'unexpected body',
    'gRPC health is NOT_SERVING, expected SERVING': 'gRPC health',
    'this agent has no file descriptor left 127.0.0.1:8004': 'this agent has no file descriptor left',
    'anything else': 'other',
  };
  for (const [error, kind] of Object.entries(kinds)) expect(failureKind(error)).toBe(kind);
});
