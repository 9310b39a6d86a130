import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { importSigningKey } from '../../../shared/snapshot/keys.ts';
import { signSnapshot } from '../../../shared/snapshot/signature.ts';
import { sendRequest } from '../http-request.ts';
import type { ScenarioFindings } from '../scenario.ts';
import type { TestBed } from './test-bed.ts';

export const trustServices = {
  guarded: 'access: [ { path: /guarded/admin, allow: [ 10.0.0.0/8 ] } ]',
};

/** Must be rejected: an outdated snapshot with a valid signature, a forged snapshot, a denied path, a gateway request without a token. */
export async function trust(testBed: TestBed, findings: ScenarioFindings): Promise<void> {
  const { stack, stateDir } = testBed;
  const url = `${stack.edge}/__acgs/snapshot/main`;
  const order = async () => (await (await fetch(url)).json()) as { epoch: number; seq: number };
  const put = async (body: string | Uint8Array<ArrayBuffer>) =>
    (await fetch(url, { method: 'PUT', body })).status;

  const env = parseEnv(readFileSync(join(stateDir, 'secrets.env'), 'utf8'));
  const key = await importSigningKey(env.SNAPSHOT_SIGNING_KEY ?? '');
  const { epoch, seq } = await order();
  const old = {
    v: 1 as const,
    site: 'main',
    epoch,
    seq: seq - 1,
    issuedAt: Date.now(),
    gateways: [],
    services: {},
  };
  const replayed = await put(await signSnapshot(old, key));
  const forged = await put(`${key.kid}.AAAA\n${JSON.stringify({ ...old, epoch: epoch + 9 })}`);
  const after = await order();
  const still = await testBed.request('/guarded/');
  findings.check(
    replayed === 409 && forged === 401 && after.epoch === epoch && after.seq >= seq && still.status === 200,
    `snapshot ${epoch}.${seq - 1} with a valid signature: ${replayed}; forged: ${forged}; requests still answered: ${still.status}`,
  );

  const from = (address: string) => ({ headers: { 'x-acgs-sim-client': address } });
  const denied = await testBed.request('/guarded/admin/x', from('203.0.113.1'));
  const spelled = await testBed.request('/guarded//%61dmin/x', from('203.0.113.1'));
  const inside = await testBed.request('/guarded/admin/x', from('10.1.2.3'));
  findings.check(
    denied.status === 403 && spelled.status === 403 && ![401, 403].includes(inside.status),
    `denied path from outside: ${denied.status}, encoded differently: ${spelled.status}; from inside: ${inside.status}`,
  );

  const gateway = `${stack.gateway}/guarded/`;
  const bare = await sendRequest(gateway);
  const forgedToken = await sendRequest(gateway, { headers: { 'x-acgs-edge': 'e30.e30.AAAA' } });
  findings.check(
    [401, 403].includes(bare.status) && forgedToken.status === 401,
    `gateway with requireEdge, without the edge's token: ${bare.status}, with a forged token: ${forgedToken.status}, through the edge: ${still.status}`,
  );

  const range = await testBed.request('/digits.txt', { headers: { range: 'bytes=2-4' } });
  findings.check(range.status === 404, `a path without a service: ${range.status}`);
}
