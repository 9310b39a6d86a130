import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type PackageContext, runTool } from './context.ts';
import { type Component, writeSbom } from './sbom.ts';

/** The container image as an OCI archive, built by buildah, which needs no daemon. Returns the files. */
export function buildImage(context: PackageContext): string[] {
  const file = `acgs-lb-image_${context.version}_${context.architecture}.oci.tar`;
  const tag = `localhost/acgs-lb:${context.version}`;
  const layout = join(context.work, 'image');
  rmSync(layout, { recursive: true, force: true });
  mkdirSync(layout, { recursive: true });
  runTool(context, 'chmod', ['-R', 'u=rwX,go=rX', 'dist']);
  runTool(context, 'buildah', [
    ...['build', '--timestamp', String(context.epoch), '--build-arg', `SOURCE_DATE_EPOCH=${context.epoch}`],
    ...(context.baseImage ? ['--build-arg', `DEBIAN=${context.baseImage}`] : []),
    ...[
      '--label',
      'org.opencontainers.image.title=acgs-lb',
      '--label',
      'org.opencontainers.image.licenses=Apache-2.0',
    ],
    ...['--label', `org.opencontainers.image.version=${context.version}`],
    ...['--file', 'deploy/docker/Dockerfile', '--ignorefile', '.dockerignore', '--tag', tag, '.'],
  ]);
  runTool(context, 'buildah', ['push', tag, `oci:${layout}:${context.version}`]);
  const path = join(context.out, file);
  // The archive that `buildah push` writes has the time of its creation.
  runTool(context, 'tar', [
    ...['--create', '--file', path, '--directory', layout, '--sort=name', `--mtime=@${context.epoch}`],
    ...['--owner=0', '--group=0', '--numeric-owner', '--mode=u=rwX,go=rX', '.'],
  ]);
  const system = systemPackages(context, tag);
  return [path, writeSbom(context, { file, programs: ['node', 'workerd'], system })];
}

/** The Debian packages in the image. */
function systemPackages(context: PackageContext, tag: string): Component[] {
  const container = runTool(context, 'buildah', ['from', tag]).trim();
  try {
    const format = '\u0024{Package} \u0024{Version} \u0024{Architecture}\n';
    const list = runTool(context, 'buildah', ['run', container, '--', 'dpkg-query', '-W', '-f', format]);
    return (
      list
        .trim()
        // A terminal of its own may change the ends of lines.
        .split(/[\r\n]+/)
        .map((line) => {
          const [name = '', version = '', architecture = ''] = line.split(' ');
          const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}&distro=debian-12`;
          return { 'bom-ref': purl, type: 'library', name, version, purl };
        })
    );
  } finally {
    runTool(context, 'buildah', ['rm', container]);
  }
}
