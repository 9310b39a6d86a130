import { join } from 'node:path';
import { type PackageContext, runTool } from './context.ts';
import { writeSbom } from './sbom.ts';

/** The npm package: the launcher and dist/, without dependencies. Returns the files. */
export function buildNpm(context: PackageContext): string[] {
  const file = `acgs-lb-${context.version}.tgz`;
  // The same modes with every umask.
  runTool(context, 'chmod', ['-R', 'u=rwX,go=rX', 'bin', 'dist', 'package.json', 'README.md', 'LICENSE']);
  // dist/ was built just now.
  runTool(context, 'npm', ['pack', '--ignore-scripts', '--pack-destination', context.out]);
  return [join(context.out, file), writeSbom(context, { file, programs: [] })];
}
