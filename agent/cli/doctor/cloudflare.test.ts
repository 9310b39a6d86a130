import { expect, test } from 'vitest';
import { parseConfig } from '../../../shared/config/load.ts';
import { doctorFacts } from '../../../test/harness/doctor-facts.ts';
import { checkDeployment } from './cloudflare.ts';

/** Cloudflare's answers by path and query. */
const RESULTS: Record<string, unknown[]> = {
  '/accounts': [
    { id: 'a', name: 'first' },
    { id: 'b', name: 'second' },
  ],
  '/zones?name=example.com&account.id=b': [{ id: 'z', name: 'example.com' }],
};

test('the zone is found in any account of the token', async () => {
  const asked: string[] = [];
  const fetch: typeof globalThis.fetch = async (input) => {
    const path = String(input).replace('https://api.test', '');
    asked.push(path);
    return Response.json({ success: true, errors: [], result: RESULTS[path] ?? [] });
  };
  const facts = doctorFacts({
    CLOUDFLARE_API_TOKEN: 'token',
    CLOUDFLARE_ACCOUNT_ID: undefined,
    CLOUDFLARE_API_BASE_URL: 'https://api.test/',
  });
  const config = parseConfig(
    "version: 1\nsite: { id: main }\nedge: { url: 'https://api.example.com' }\nservices: { gs: { routes: [/] } }\n",
  );
  const [finding] = await checkDeployment({ ...facts, config, fetch });
  expect(finding).toMatchObject({
    name: 'Cloudflare host name',
    detail: 'no custom domain or route for api.example.com',
  });
  expect(asked).toContain('/accounts/b/workers/domains?hostname=api.example.com');
});
