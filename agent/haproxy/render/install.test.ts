import { expect, test } from 'vitest';
import { parseConfig } from '../../../shared/config/load.ts';
import { configInstances } from './input.ts';
import { HaproxyConfigError, validateHaproxyConfig } from './install.ts';

test('an unreadable client certificate is a configuration error with its path', async () => {
  const config = parseConfig(
    'version: 1\nsite: { id: main }\nservices: { gs: { routes: [/], health: { tls: { cert: /none.crt, key: /none.key } } } }',
  );
  const secrets = { statsUser: 'admin', statsPassword: 'x', edgePublicKeys: '' };
  const validated = validateHaproxyConfig({ config, instances: configInstances(config), secrets });
  await expect(validated).rejects.toThrow(HaproxyConfigError);
  await expect(validated).rejects.toThrow('services.gs.health.tls.cert: /none.crt cannot be read (ENOENT)');
});
