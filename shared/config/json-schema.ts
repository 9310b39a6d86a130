import { z } from 'zod';
import { fileSchema } from './schema.ts';

/** JSON Schema of acgs-lb.yaml as it is written, before defaults are filled in. */
export function configJsonSchema(): string {
  const schema = z.toJSONSchema(fileSchema, { io: 'input', unrepresentable: 'any', reused: 'ref' });
  return `${JSON.stringify({ title: 'acgs-lb.yaml', ...schema }, null, 2)}\n`;
}
