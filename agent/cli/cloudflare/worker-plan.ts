import type { WorkerBundle } from '../../edge/worker-bundle.ts';
import type { WorkerBinding } from './account.ts';
import { StepFailed } from './step.ts';

const STEP = 'worker';

/** What the Worker on Cloudflare has now. */
export interface DeployedWorker {
  sites: string[];
  /** Variables that are not secret. */
  vars: Record<string, string>;
  namespaceId: string | null;
  /** Bindings that a new deployment must keep, such as Workers VPC. */
  networks: { binding: string; service_id: string }[];
}

/** Reads the bindings of the Worker. Throws a StepFailed when it is not an edge. Null: there is no Worker. */
export function readDeployed(name: string, bindings: readonly WorkerBinding[] | null): DeployedWorker | null {
  if (bindings === null) return null;
  if (!bindings.some((one) => one.type === 'durable_object_namespace' && one.name === 'SNAPSHOT_HUB')) {
    throw new StepFailed(
      STEP,
      `the Worker ${name} exists and is not an acgs-lb edge`,
      'give another name with --name',
    );
  }
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  const vars = Object.fromEntries(
    bindings.filter(({ type }) => type === 'plain_text').map((one) => [one.name, text(one.text)]),
  );
  const kv = bindings.find(({ type, name: binding }) => type === 'kv_namespace' && binding === 'SNAPSHOTS');
  return {
    sites: splitList(vars.SITES ?? ''),
    vars,
    namespaceId: kv ? text(kv.namespace_id) || null : null,
    networks: bindings
      .filter(({ type }) => type === 'vpc_service')
      .map((one) => ({ binding: one.name, service_id: text(one.service_id) })),
  };
}

export const splitList = (text: string): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean);

interface WorkerVariablesInput {
  site: string;
  gateway: string;
  /** SNAPSHOT_PUBLIC_KEYS of edge.env: it names every site of the Worker. */
  publicKeys: string;
  /** SITE_DIRECTORY_KEYS of edge.env; null keeps those on Cloudflare. */
  directoryKeys: string | null;
  defaults: Readonly<Record<string, string>>;
  deployed: DeployedWorker | null;
}

/**
 * The variables of the Worker. Values that an operator has changed on Cloudflare stay; sites and keys come from edge.env.
 * Throws a StepFailed when a site would be lost.
 */
export function workerVariables(input: WorkerVariablesInput): Record<string, string> {
  const { site, gateway, publicKeys, directoryKeys, defaults, deployed } = input;
  const keyed = [...new Set(splitList(publicKeys).map((entry) => entry.split(':')[0] ?? ''))];
  if (!keyed.includes(site)) {
    const mend = `add the entry of site ${site} (\`acgs-lb keys public --site ${site}\`)`;
    throw new StepFailed('keys', `SNAPSHOT_PUBLIC_KEYS in edge.env has no key of site ${site}`, mend);
  }
  const lost = deployed?.sites.filter((one) => !keyed.includes(one)) ?? [];
  if (lost.length > 0) {
    const mend =
      'use the edge.env of this Worker (--keys) and add the new site’s entry to its SNAPSHOT_PUBLIC_KEYS';
    throw new StepFailed(
      'keys',
      `the Worker serves site ${lost.join(', ')}, which edge.env has no key for`,
      mend,
    );
  }
  const kept = deployed?.sites ?? [];
  const sites = [...kept, ...keyed.filter((one) => !kept.includes(one))];
  return {
    ...defaults,
    ...deployed?.vars,
    SITES: sites.join(','),
    SNAPSHOT_PUBLIC_KEYS: publicKeys,
    ...(directoryKeys === null ? {} : { SITE_DIRECTORY_KEYS: directoryKeys }),
    FALLBACK_ORIGIN: sites[0] === site ? gateway : (deployed?.vars.FALLBACK_ORIGIN ?? ''),
    CLIENT_ADDRESS_FROM: 'cloudflare',
  };
}

interface WranglerConfigInput {
  name: string;
  accountId: string;
  namespaceId: string;
  vars: Record<string, string>;
  networks: DeployedWorker['networks'];
  bundle: Omit<WorkerBundle, 'code'>;
}

/**
 * The configuration for `wrangler deploy`, with the bundle as index.js beside it. It has no routes: without a terminal,
 * wrangler takes host names away from other Workers.
 */
export function wranglerConfig(input: WranglerConfigInput): object {
  const { name, accountId, namespaceId, vars, networks, bundle } = input;
  return {
    ...bundle.deployment,
    name,
    account_id: accountId,
    main: 'index.js',
    no_bundle: true,
    compatibility_date: bundle.compatibilityDate,
    compatibility_flags: bundle.compatibilityFlags,
    workers_dev: false,
    preview_urls: false,
    vars,
    kv_namespaces: [{ binding: 'SNAPSHOTS', id: namespaceId }],
    ...(networks.length > 0 && { vpc_services: networks }),
  };
}
