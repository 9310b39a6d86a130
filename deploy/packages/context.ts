import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

export type DebianArchitecture = 'amd64' | 'arm64';

export interface PackageContext {
  /** The checkout. */
  root: string;
  /** Finished packages. */
  out: string;
  /** Temporary files. */
  work: string;
  version: string;
  architecture: DebianArchitecture;
  /** Replaces the Dockerfile's base image, for example with one in your own registry. */
  baseImage?: string;
  /** The time of every file in the packages, in seconds since 1970. */
  epoch: number;
}

export interface PackageOptions {
  out: string;
  version?: string;
  baseImage?: string;
}

/** A package cannot be built on this machine. `message` says what to do. */
export class PackageError extends Error {
  override name = 'PackageError';
}

const ARCHITECTURES: Partial<Record<NodeJS.Architecture, DebianArchitecture>> = {
  x64: 'amd64',
  arm64: 'arm64',
};

/** Throws a PackageError on an architecture without packages or an invalid SOURCE_DATE_EPOCH. */
export function packageContext(root: string, options: PackageOptions): PackageContext {
  const architecture = ARCHITECTURES[process.arch];
  if (!architecture) {
    throw new PackageError(`architecture ${process.arch}: packages exist for x64 and arm64 only`);
  }
  return {
    root,
    out: options.out,
    work: join(root, '.build/packages'),
    version: options.version ?? versionOf(root),
    architecture,
    epoch: sourceDateEpoch(root),
    ...(options.baseImage !== undefined && { baseImage: options.baseImage }),
  };
}

const manifestSchema = z.object({ version: z.string() });

const versionOf = (root: string): string =>
  manifestSchema.parse(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))).version;

/** SOURCE_DATE_EPOCH, or the time of the last commit. https://reproducible-builds.org/specs/source-date-epoch/ */
function sourceDateEpoch(root: string): number {
  const text = process.env.SOURCE_DATE_EPOCH ?? commitTime(root);
  if (!/^\d{1,11}$/.test(text)) {
    throw new PackageError(
      `SOURCE_DATE_EPOCH: ${JSON.stringify(text)} is not a number of seconds since 1970`,
    );
  }
  return Number(text);
}

function commitTime(root: string): string {
  try {
    return execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' }).trim();
  } catch (cause) {
    throw new PackageError('this is not a Git checkout: set SOURCE_DATE_EPOCH (seconds since 1970)', {
      cause,
    });
  }
}

/** Runs a program with the epoch in its environment; throws a PackageError with its output when it fails. */
export function runTool(
  context: PackageContext,
  command: string,
  args: readonly string[],
  cwd?: string,
): string {
  try {
    return execFileSync(command, args, {
      cwd: cwd ?? context.root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      maxBuffer: 64 * 1024 * 1024,
      env: { ...process.env, SOURCE_DATE_EPOCH: String(context.epoch), TZ: 'UTC', LC_ALL: 'C.UTF-8' },
    });
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') {
      throw new PackageError(`${command} is not installed`, { cause });
    }
    const stderr = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : '';
    throw new PackageError(`${command} ${args[0]} failed:\n${stderr || String(cause)}`, { cause });
  }
}
