import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { configJsonSchema } from '../shared/config/json-schema.ts';

/** `npm run schema`: writes the JSON Schema that editors validate acgs-lb.yaml with. A test fails when it is out of date. */
const root = dirname(dirname(fileURLToPath(import.meta.url)));
writeFileSync(join(root, 'acgs-lb.schema.json'), configJsonSchema());
