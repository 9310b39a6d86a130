import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { CommandFailed } from './errors.ts';

/** The fields of `<state-dir>/stack.json` that commands read. `npm start` writes the file while it runs. */
const stackFile = z.object({
  agent: z.string(),
  adminToken: z.string().nullish(),
  redis: z.string().nullish(),
  postgres: z.string().nullish(),
  derivation: z
    .object({ portOffset: z.number(), moveInstances: z.boolean(), runFolder: z.string() })
    .optional(),
});

export type RunningStack = z.output<typeof stackFile>;

/** The local stack that runs with this state folder, or null. Throws CommandFailed when the file is unreadable. */
export async function readStackFile(stateDir: string): Promise<RunningStack | null> {
  const file = join(stateDir, 'stack.json');
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new CommandFailed(`cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
  const parsed = stackFile.safeParse(parseJson(text));
  if (!parsed.success) throw new CommandFailed(`${file} is damaged or belongs to another version`);
  return parsed.data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
