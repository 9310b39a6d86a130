import type { z } from 'zod';
import { CommandFailed } from './errors.ts';

/**
 * Checks an answer of the agent and returns it as it came, so that fields a newer agent added stay in `--json`. Throws
 * CommandFailed when the answer does not match the schema.
 */
export function parseResponse<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  what: string,
): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return value as z.output<Schema>;
  const issue = parsed.error.issues[0];
  throw new CommandFailed(
    `the agent's ${what} is not what this version expects (${issue?.path.join('.')}: ${issue?.message}); ` +
      'are agent and command of one version?',
  );
}
