import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import {
  type PackageContext,
  PackageError,
  type PackageOptions,
  packageContext,
  runTool,
} from './context.ts';
import { buildDeb } from './deb.ts';
import { buildImage } from './image.ts';
import { buildNpm } from './npm.ts';

/**
 * `npm run package -- [deb] [npm] [image]`: builds the packages into packages/, each with its bill of materials, and
 * SHA256SUMS. The same commit gives the same bytes: every time in them is SOURCE_DATE_EPOCH, by default that of the commit.
 */
const ROOT = dirname(dirname(import.meta.dirname));

interface Builder {
  /** The program that it needs. */
  tool: string;
  build: (context: PackageContext) => string[];
}

const BUILDERS: Record<string, Builder> = {
  deb: { tool: 'dpkg-deb', build: buildDeb },
  npm: { tool: 'npm', build: buildNpm },
  image: { tool: 'buildah', build: buildImage },
};
const USAGE = `usage: npm run package -- [${Object.keys(BUILDERS).join('] [')}] [--out DIR] [--base-image IMAGE]\n`;

function main(): void {
  const request = readArguments();
  if (!request) return;
  checkTools(request.kinds);
  const context = packageContext(ROOT, request);
  runTool(context, process.execPath, [join(ROOT, 'dev/build.ts')]);
  rmSync(context.out, { recursive: true, force: true });
  mkdirSync(context.out, { recursive: true });
  mkdirSync(context.work, { recursive: true });
  const files: string[] = [];
  for (const kind of request.kinds) {
    const built = BUILDERS[kind]?.build(context) ?? [];
    for (const path of built) process.stdout.write(`${path}\n`);
    files.push(...built);
  }
  const sums = files.map((path) => `${sha256(path)}  ${basename(path)}\n`);
  writeFileSync(join(context.out, 'SHA256SUMS'), sums.join(''));
}

/** Throws a PackageError that says how to build the rest. */
function checkTools(kinds: readonly string[]): void {
  const isMissing = (kind: string) =>
    spawnSync(BUILDERS[kind]?.tool ?? '', ['--version']).error !== undefined;
  const missing = kinds.filter(isMissing);
  if (missing.length === 0) return;
  const tools = missing.map((kind) => `${kind} needs ${BUILDERS[kind]?.tool}`).join(', ');
  const others = Object.keys(BUILDERS).filter((kind) => !isMissing(kind));
  const advice = others.length > 0 ? `, or build only: npm run package -- ${others.join(' ')}` : '';
  throw new PackageError(`${tools}. Install it${advice}`);
}

/** Null when there is nothing to build. */
function readArguments(): ({ kinds: string[] } & PackageOptions) | null {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      out: { type: 'string', default: join(ROOT, 'packages') },
      // For the test of an upgrade.
      version: { type: 'string' },
      'base-image': { type: 'string' },
      help: { type: 'boolean' },
    },
  });
  const unknown = positionals.find((kind) => !Object.hasOwn(BUILDERS, kind));
  if (values.help || unknown !== undefined) {
    const problem = unknown === undefined ? '' : `unknown package ${JSON.stringify(unknown)}\n`;
    (unknown === undefined ? process.stdout : process.stderr).write(problem + USAGE);
    process.exitCode = unknown === undefined ? 0 : 2;
    return null;
  }
  const kinds = positionals.length > 0 ? positionals : Object.keys(BUILDERS);
  return {
    kinds,
    out: resolve(values.out),
    ...(values.version !== undefined && { version: values.version }),
    ...(values['base-image'] !== undefined && { baseImage: values['base-image'] }),
  };
}

function sha256(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

try {
  main();
} catch (error) {
  if (!(error instanceof Error)) throw error;
  const isMisuse = 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
  if (!isMisuse && !(error instanceof PackageError)) throw error;
  process.stderr.write(`package: ${error.message}\n${isMisuse ? USAGE : ''}`);
  process.exitCode = isMisuse ? 2 : 1;
}
