import { isServingState } from '../../../shared/serving.ts';
import { runbookSection } from '../../alerting/links.ts';
import type { StatusDocument } from '../../http/schemas/status.ts';
import { type AgentTarget, createApiClient } from '../client.ts';
import { formatAge, plural } from '../format.ts';
import { errorSummary, type Finding, fail, ok, warn } from './finding.ts';

export interface AgentCheckResult {
  findings: Finding[];
  /** Null when the agent did not answer. */
  status: StatusDocument | null;
}

/** Checks that the agent answers, is ready, accepts the token and delivers to its sinks. */
export async function checkAgent(target: AgentTarget, version: string): Promise<AgentCheckResult> {
  const client = createApiClient(target);
  let status: StatusDocument;
  try {
    status = await client.get('/v1/status', 'statusSchema');
  } catch (error) {
    const mend =
      'start it (`npm start`, or `systemctl start acgs-lb-agent`), or set ACGS_AGENT_URL to its address';
    return { findings: [fail('agent', errorSummary(error), mend)], status: null };
  }
  const findings = [
    status.ready
      ? ok('agent', `${target.url}, ready, up ${formatAge(status.at - status.startedAt)}`)
      : warn(
          'agent',
          'not ready yet',
          'wait until it has probed every instance; /ready names the missing ones',
        ),
    status.version === version
      ? ok('version', version)
      : warn(
          'version',
          `agent ${status.version}, command ${version}`,
          'install the same version of agent and command',
        ),
    await checkToken(target),
    ...agentFindings(status),
  ];
  return { findings, status };
}

async function checkToken(target: AgentTarget): Promise<Finding> {
  if (!target.token)
    return warn('token', 'not set: the agent will refuse commands that change anything', 'set ACGS_TOKEN');
  try {
    await createApiClient(target).send('POST', '/v1/token');
    return ok('token', 'accepted by the agent');
  } catch (error) {
    return fail('token', errorSummary(error), 'set ACGS_TOKEN to the value in the environment of the agent');
  }
}

/** What the status says of alerts, sinks and instances; `status` and the dashboard say the same. */
export const agentFindings = (status: StatusDocument): Finding[] => [
  ...alerts(status),
  ...sinks(status),
  ...instances(status),
  ...advice(status),
];

function alerts(status: StatusDocument): Finding[] {
  if (status.alerts.length === 0) return [ok('alerts', 'no alert is firing')];
  return status.alerts.map(({ id, rule, severity, message, silenced, acknowledgedBy }) => {
    if (acknowledgedBy !== null) return ok(`alert ${rule}`, `acknowledged by ${acknowledgedBy}: ${message}`);
    if (silenced) return ok(`alert ${rule}`, `silenced: ${message}`);
    const report = severity === 'warning' ? warn : fail;
    const mend = `docs/incident.md#${runbookSection(rule)}; acknowledge with \`acgs-lb alerts ack ${id.slice(0, 8)}\``;
    return report(`alert ${rule}`, `${severity}: ${message}`, mend);
  });
}

function sinks(status: StatusDocument): Finding[] {
  return Object.entries(status.sinks).map(([name, sink]) => {
    const label = `agent → ${name}`;
    const waiting = sink.pending > 0 ? `, ${plural(sink.pending, 'update')} waiting` : '';
    if (sink.state === 'ok') return ok(label, `delivering${waiting}`);
    return warn(
      label,
      `${sink.state}${waiting}: ${sink.lastError ?? 'no success yet'}`,
      'traffic is not affected; see the check of this store or edge',
    );
  });
}

const advice = ({ advice: all = [] }: StatusDocument): Finding[] =>
  all.map(({ service, message, action }) => warn(`settings of ${service}`, message, action));

/** More would make the line hard to read. */
const MAX_NAMED = 3;

function failuresOf(instances: StatusDocument['services'][number]['instances']): string {
  const down = instances.filter(({ state }) => state === 'down');
  const named = down.slice(0, MAX_NAMED).map(({ id, reason }) => `${id}: ${reason}`);
  const more = down.length - named.length;
  return [...named, ...(more > 0 ? [`${more} more`] : [])].join('; ');
}

function instances(status: StatusDocument): Finding[] {
  return status.services.map(({ id, instances: all }) => {
    const serving = all.filter(({ state }) => isServingState(state)).length;
    const failed = all.filter(({ state, admin }) => state === 'down' && admin === 'ready');
    const failures = failuresOf(all);
    const detail = `${serving} of ${plural(all.length, 'instance')} serving${failures ? ` (${failures})` : ''}`;
    if (all.length === 0)
      return fail(`service ${id}`, 'no instance', 'add one to acgs-lb.yaml or with `acgs-lb register`');
    if (serving === 0)
      return fail(`service ${id}`, detail, 'start an instance, or fix what the probes report');
    if (failed.length > 0) return warn(`service ${id}`, detail, '`acgs-lb status` shows since when');
    return ok(`service ${id}`, detail);
  });
}
