import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { z } from 'zod';
import { valueText } from '../../../shared/config/problem.ts';
import { id, origin } from '../../../shared/config/scalars.ts';
import { readYaml } from '../../../shared/config/yaml-data.ts';
import { errorMessage } from '../../../shared/error-message.ts';
import { MAX_MAXCONN, METADATA_LENGTH, PRIORITY, WEIGHT } from '../../registry/limits.ts';
import { entriesOf, type InstanceSourceReader, SourceError, type SourceList } from '../source.ts';

const NON_BLOCKING = constants.O_RDONLY | constants.O_NONBLOCK;
const READ_EVERY_MS = 1_000;
const DEADLINE_MS = 5_000;
const MAX_FILE_BYTES = 1_048_576;

const entrySchema = z.strictObject({
  id: id.optional(),
  url: origin,
  publicUrl: origin.optional(),
  weight: z.int().min(WEIGHT.min).max(WEIGHT.max).default(100),
  priority: z.int().min(PRIORITY.min).max(PRIORITY.max).default(1),
  maxconn: z.int().min(1).max(MAX_MAXCONN).optional(),
  metadata: z.record(z.string().max(METADATA_LENGTH.name), z.string().max(METADATA_LENGTH.value)).optional(),
});

/** A list in a file. Its entries have the form of `instances` in acgs-lb.yaml, or are URLs. */
export function createFileReader(path: string): InstanceSourceReader {
  return {
    deadlineMs: DEADLINE_MS,
    retryWithinMs: READ_EVERY_MS,
    async read() {
      return { ...parseInstanceFile(await readText(path)), readAgainMs: READ_EVERY_MS };
    },
    close() {},
  };
}

/** Reads a regular file of limited size. A pipe could block. */
async function readText(path: string): Promise<string> {
  let file: Awaited<ReturnType<typeof open>> | undefined;
  try {
    file = await open(path, NON_BLOCKING);
    const stat = await file.stat();
    if (!stat.isFile()) throw new SourceError('is not a regular file');
    if (stat.size > MAX_FILE_BYTES) {
      throw new SourceError(`has ${stat.size} bytes; at most ${MAX_FILE_BYTES} are read`);
    }
    return await file.readFile('utf8');
  } catch (error) {
    throw new SourceError(`${path}: ${errorMessage(error)}`, { cause: error });
  } finally {
    await file?.close();
  }
}

export function parseInstanceFile(text: string): SourceList {
  const { data, errors, positionOf } = readYaml(text);
  const [first] = errors;
  if (first) throw new SourceError(`line ${positionOf(first.offset)}: ${first.message}`);
  const instances: SourceList['instances'] = [];
  const problems: string[] = [];
  for (const [index, raw] of entriesOf(data, 'the file holds').entries()) {
    const entry = entrySchema.safeParse(typeof raw === 'string' ? { url: raw } : raw);
    if (entry.success) instances.push(withoutUndefined(entry.data));
    else problems.push(`entry ${index + 1}: ${entryProblem(raw, entry.error)}`);
  }
  return { instances, problems };
}

function entryProblem(raw: unknown, { issues }: z.ZodError): string {
  const [issue] = issues;
  const key = issue?.path.join('.');
  return `${valueText(raw)} is not allowed: ${key ? `${key}: ` : ''}${issue?.message ?? 'invalid'}`;
}

function withoutUndefined({
  id,
  publicUrl,
  maxconn,
  metadata,
  ...rest
}: z.output<typeof entrySchema>): SourceList['instances'][number] {
  return {
    ...rest,
    ...(id === undefined ? {} : { id }),
    ...(publicUrl === undefined ? {} : { publicUrl }),
    ...(maxconn === undefined ? {} : { maxconn }),
    ...(metadata === undefined ? {} : { metadata }),
  };
}
