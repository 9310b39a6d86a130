import { expect, test } from 'vitest';
import { unstable_readConfig } from 'wrangler';

test.each([undefined, 'staging'])(
  'environment %s: Cloudflare stores no URLs and header fields of requests',
  (env) => {
    const { observability } = unstable_readConfig({ config: 'wrangler.toml', ...(env && { env }) });
    expect(observability).toMatchObject({ enabled: true, logs: { invocation_logs: false } });
  },
);

test('staging has every variable: wrangler does not inherit them', () => {
  const variables = (env?: string) =>
    Object.keys(unstable_readConfig({ config: 'wrangler.toml', ...(env && { env }) }).vars);
  expect(variables('staging').toSorted()).toEqual(variables().toSorted());
});
