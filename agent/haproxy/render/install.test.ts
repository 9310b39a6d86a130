import { expect, test } from 'vitest';
import { parseConfig } from '../../../shared/config/load.ts';
import { configInstances } from './input.ts';
import { HaproxyConfigError, validateHaproxyConfig } from './install.ts';

test("a client certificate that cannot be read is the configuration's fault, told with its place", async () => {
  const config = parseConfig(
    'version: 1\nsite: { id: main }\nservices: { gs: { routes: [/], health: { tls: { cert: /none.crt, key: /none.key } } } }',
  );
  const secrets = { statsUser: 'admin', statsPassword: 'x', edgePublicKeys: '' };
  const judged = validateHaproxyConfig({ config, instances: configInstances(config), secrets });
  await expect(judged).rejects.toThrow(HaproxyConfigError);
  await expect(judged).rejects.toThrow('services.gs.health.tls.cert: /none.crt cannot be read (ENOENT)');
});
