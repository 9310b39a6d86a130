import { z } from 'zod';
import { type StatusDocument, statusSchema } from '../../http/schemas.ts';
import { type AgentTarget, createApiClient } from '../client.ts';
import { formatAge, plural } from '../format.ts';
import { parseResponse } from '../response-schemas.ts';
import { errorSummary, type Finding, fail, ok, warn } from './finding.ts';

export interface AgentCheckResult {
  findings: Finding[];
  /** Null when the agent did not answer. */
  status: StatusDocument | null;
}

/** The agent answers, is ready, knows the token, and gets rid of what it has to say. */
export async function checkAgent(target: AgentTarget, version: string): Promise<AgentCheckResult> {
  const client = createApiClient(target);
  let status: StatusDocument;
  try {
    status = parseResponse(statusSchema, await client.get('/v1/status'), 'status');
  } catch (error) {
    const mend =
      'start it (`npm start`, systemctl start acgs-lb-agent), or set ACGS_AGENT_URL to where it listens';
    return { findings: [fail('agent', errorSummary(error), mend)], status: null };
  }
  const findings = [
    status.ready
      ? ok('agent', `${target.url}, ready, up ${formatAge(status.at - status.startedAt)}`)
      : warn('agent', 'not ready yet', 'wait: it has not judged every instance; /ready says which'),
    status.version === version
      ? ok('version', version)
      : warn(
          'version',
          `agent ${status.version}, command ${version}`,
          'use agent and command of one version',
        ),
    await checkToken(target),
    ...sinks(status),
    ...instances(status),
  ];
  return { findings, status };
}

async function checkToken(target: AgentTarget): Promise<Finding> {
  if (!target.token)
    return warn('token', 'none given: commands that change something will be refused', 'set ACGS_TOKEN');
  try {
    await createApiClient(target).post('/v1/token');
    return ok('token', 'the agent takes it');
  } catch (error) {
    return fail(
      'token',
      errorSummary(error),
      'ACGS_TOKEN here must be the one in the environment of the agent',
    );
  }
}

function sinks(status: StatusDocument): Finding[] {
  return Object.entries(status.sinks).map(([name, sink]) => {
    const label = `agent → ${name}`;
    const waiting = sink.pending > 0 ? `, ${plural(sink.pending, 'update')} waiting` : '';
    if (sink.state === 'ok') return ok(label, `delivers${waiting}`);
    return fail(
      label,
      `${sink.state}${waiting}: ${sink.lastError ?? 'no success yet'}`,
      'traffic goes on; the check of that part says what to mend',
    );
  });
}

function instances(status: StatusDocument): Finding[] {
  return status.services.map(({ id, instances: all }) => {
    const serving = all.filter(({ state }) => state === 'up' || state === 'probation').length;
    const why = all
      .filter(({ state }) => state === 'down')
      .map((instance) => `${instance.id}: ${instance.reason}`)
      .join('; ');
    const detail = `${serving} of ${plural(all.length, 'instance')} serving${why ? ` (${why})` : ''}`;
    if (all.length === 0)
      return fail(`service ${id}`, 'has no instance', 'name one in acgs-lb.yaml, or acgs-lb register');
    if (serving === 0) return fail(`service ${id}`, detail, 'start an instance, or mend what the probes say');
    if (serving < all.length) return warn(`service ${id}`, detail, 'see acgs-lb status for since when');
    return ok(`service ${id}`, detail);
  });
}

/** What `GET /__acgs/snapshot/:site` answers. */
export const edgeOrderSchema = z.looseObject({ epoch: z.number(), seq: z.number() });
