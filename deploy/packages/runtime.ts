import { cpSync, existsSync, globSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type PackageContext, PackageError } from './context.ts';

/** Writes what a host needs into `target`: the built program, Node and workerd. */
export function copyRuntime({ root }: PackageContext, target: string): void {
  cpSync(join(root, 'dist'), target, { recursive: true });
  mkdirSync(join(target, 'bin'));
  cpSync(required(root, 'node_modules/node/bin/node'), join(target, 'bin/node'), { dereference: true });
  const [workerd = 'node_modules/@cloudflare/workerd-*/bin/workerd'] = globSync(
    'node_modules/@cloudflare/workerd-*/bin/workerd',
    { cwd: root },
  );
  cpSync(required(root, workerd), join(target, 'edge/workerd'));
}

function required(root: string, path: string): string {
  if (!existsSync(join(root, path))) throw new PackageError(`${path} is missing: run npm ci`);
  return join(root, path);
}
