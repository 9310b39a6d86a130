import { vpcBinding } from '../../../shared/vpc-binding.ts';
import { loadWorkerBundle } from '../../edge/worker-bundle.ts';
import { type Finding, fail, ok } from '../doctor/finding.ts';
import { createNamespace, findNamespace, findZone, workerBindings } from './account.ts';
import type { CloudflareApi } from './api.ts';
import { attach, requireFreeHost } from './attachment.ts';
import type { DeployDeps, EdgeDeployment } from './deployment.ts';
import { edgeKeys } from './keys.ts';
import { proveEdge } from './prove.ts';
import { StepFailed, step, TOKEN_PERMISSIONS } from './step.ts';
import { type DeployedWorker, readDeployed, workerVariables, wranglerConfig } from './worker-plan.ts';
import { uploadByWrangler } from './wrangler.ts';

/**
 * Deploys the edge to Cloudflare in steps. A step that an earlier run has done changes nothing. First everything is read
 * and checked; the host name comes last, so that no client reaches an incomplete Worker. Stops at the first failed step.
 */
export async function deployEdge(wanted: EdgeDeployment, deps: DeployDeps): Promise<Finding[]> {
  const findings: Finding[] = [];
  const done = (finding: Finding): void => {
    findings.push(finding);
    deps.onFinding(finding);
  };
  try {
    await runSteps(wanted, deps, done);
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error;
    done(fail(error.step, error.message, error.mend));
  }
  return findings;
}

async function runSteps(
  wanted: EdgeDeployment,
  deps: DeployDeps,
  done: (finding: Finding) => void,
): Promise<void> {
  const { api, report } = deps;
  const { accountId, host, worker } = wanted;
  report('reading the account');
  const zone = await step('zone', () => requireZone(api, wanted));
  done(ok('zone', zone.name));
  const bindings = await step('worker', () => workerBindings(api, accountId, worker));
  const deployed = readDeployed(worker, bindings);
  await step('host name', () => requireFreeHost(api, wanted, zone.id));
  const keys = await edgeKeys({
    folder: wanted.keysFolder,
    site: wanted.site,
    isDeployed: deployed !== null,
  });
  const { code, ...bundle } = await loadWorkerBundle(deps.programDir);
  const vars = workerVariables({
    site: wanted.site,
    gateway: wanted.gateway,
    publicKeys: keys.publicKeys,
    directoryKeys: keys.directoryKeys,
    defaults: bundle.deployment.vars,
    deployed,
  });
  done(ok('keys', `${wanted.keysFolder}/ ${keys.created ? 'created' : 'unchanged'}`));
  const namespaceId = await step('KV', () => namespaceOf(api, wanted, deployed));
  done(ok('KV', `namespace ${namespaceId}`));
  report('uploading the Worker');
  const networks = networksOf(wanted, deployed);
  const config = wranglerConfig({ name: worker, accountId, namespaceId, vars, networks, bundle });
  const { env, programDir } = deps;
  await uploadByWrangler({ programDir, config, code, secrets: keys.secrets, accountId, env });
  done(ok('worker', `${worker} with 3 secrets, sites ${vars.SITES}`));
  report('attaching the host name');
  done(await step('host name', () => attach(api, wanted, zone.id)));
  report(`waiting for https://${host}`);
  for (const finding of await proveEdge(
    { host, edgeToken: keys.edgeToken, keysFolder: wanted.keysFolder },
    deps,
  ))
    done(finding);
}

async function requireZone(api: CloudflareApi, { accountId, host, zoneName }: EdgeDeployment) {
  const zone = await findZone(api, { accountId, host, zoneName: zoneName ?? undefined });
  if (zone) return zone;
  throw new StepFailed(
    'zone',
    `the token sees no zone ${zoneName ?? `for ${host}`} in account ${accountId}`,
    `add the domain to this account, or give the token the zone (${TOKEN_PERMISSIONS})`,
  );
}

/** The namespace of the Worker, else the one with its title, else a new one. */
async function namespaceOf(
  api: CloudflareApi,
  { accountId, worker }: EdgeDeployment,
  deployed: DeployedWorker | null,
): Promise<string> {
  const title = `${worker}-snapshots`;
  return (
    deployed?.namespaceId ??
    (await findNamespace(api, accountId, title)) ??
    (await createNamespace(api, accountId, title))
  );
}

function networksOf(
  { vpcService, site }: EdgeDeployment,
  deployed: DeployedWorker | null,
): DeployedWorker['networks'] {
  const kept = deployed?.networks ?? [];
  if (vpcService === null) return kept;
  const binding = vpcBinding(site);
  return [...kept.filter((one) => one.binding !== binding), { binding, service_id: vpcService }];
}
