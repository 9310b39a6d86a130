import { parseFingerprint, parseInfo } from './parse.ts';
import type { RuntimeClient } from './runtime-client.ts';

/** The worker that answers. `description` is the fingerprint of our file; without our file, HAProxy's own text. */
export async function readWorker(client: RuntimeClient): Promise<ReturnType<typeof parseInfo>> {
  const info = parseInfo(await client.execute('show info'));
  if (info.description.startsWith('acgs-lb:')) return info;
  // With mode: beside, the section `global` belongs to the operator. A backend without servers has the fingerprint as name.
  const fingerprint = parseFingerprint(await client.execute('show backend'));
  return fingerprint === null ? info : { ...info, description: fingerprint };
}
