import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type PackageContext, runTool } from './context.ts';

const componentSchema = z.looseObject({
  'bom-ref': z.string(),
  name: z.string(),
  version: z.string(),
  purl: z.string(),
  properties: z.array(z.looseObject({ name: z.string() })).optional(),
});
const bomSchema = z.looseObject({
  metadata: z.looseObject({ component: z.looseObject({ purl: z.string() }) }),
  components: z.array(componentSchema),
  dependencies: z.array(z.object({ ref: z.string(), dependsOn: z.array(z.string()) })),
});
export type Component = z.output<typeof componentSchema>;

export interface SbomOptions {
  /** What the document describes, such as `acgs-lb_1.2.3_amd64.deb`. */
  file: string;
  /** npm packages beside those in the bundles, such as `node`. */
  programs: readonly string[];
  /** Packages of the base system. */
  system?: readonly Component[];
}

/**
 * Writes a software bill of materials (CycloneDX 1.5) beside a package: the npm packages with code in the bundles, as
 * esbuild lists them, with licences and hashes from `npm sbom`. Returns its path.
 */
export function writeSbom(context: PackageContext, { file, programs, system = [] }: SbomOptions): string {
  const bom = bomSchema.parse(JSON.parse(runTool(context, 'npm', ['sbom', '--sbom-format', 'cyclonedx'])));
  const shipped = shippedPackages(context, programs);
  const components = bom.components.filter(({ name, version }) => shipped.has(`${name}@${version}`));
  const root = `acgs-lb@${context.version}`;
  const kept = new Set(components.map((component) => component['bom-ref']));
  const document = {
    ...bom,
    serialNumber: `urn:uuid:${uuidOf(`${file} ${context.epoch}`)}`,
    metadata: {
      ...bom.metadata,
      timestamp: new Date(context.epoch * 1000).toISOString(),
      component: {
        ...bom.metadata.component,
        'bom-ref': root,
        type: 'application',
        name: 'acgs-lb',
        version: context.version,
        purl: `pkg:npm/acgs-lb@${context.version}`,
        properties: [{ name: 'acgs-lb:file', value: file }],
      },
    },
    components: [...components.map(asShipped), ...system],
    dependencies: [
      { ref: root, dependsOn: [...kept, ...system.map((component) => component['bom-ref'])] },
      ...bom.dependencies
        .filter(({ ref }) => kept.has(ref))
        .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((other) => kept.has(other)) })),
    ],
  };
  const path = join(context.out, `${file}.cdx.json`);
  writeFileSync(path, `${JSON.stringify(document, null, 2)}\n`);
  return path;
}

const bundledSchema = z.array(z.string());
const manifestSchema = z.object({ name: z.string(), version: z.string() });

/** `name@version` of every npm package that one of the built packages contains. */
function shippedPackages({ root }: PackageContext, programs: readonly string[]): Set<string> {
  const bundled = bundledSchema.parse(
    JSON.parse(readFileSync(join(root, '.build/bundled-packages.json'), 'utf8')),
  );
  const folders = [...bundled, ...programs.map((name) => `node_modules/${name}`)];
  const shipped = folders.map((folder) => {
    const { name, version } = manifestSchema.parse(
      JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')),
    );
    return `${name}@${version}`;
  });
  return new Set(shipped);
}

/** npm marks them as development packages, because bundled code is not a dependency of the package. */
function asShipped(component: Component): Component {
  const { properties = [], ...rest } = component;
  const kept = properties.filter(({ name }) => name !== 'cdx:npm:package:development');
  return { ...rest, scope: 'required', ...(kept.length > 0 && { properties: kept }) };
}

/** A UUID (version 8) that depends only on `text`. */
function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
