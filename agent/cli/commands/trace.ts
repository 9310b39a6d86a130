import type { Command } from 'commander';
import { isRequestId } from '../../../shared/trace-context.ts';
import type { TracedRequests } from '../../http/schemas/trace.ts';
import { contextOf } from '../context.ts';
import { ApiError, CliUsageError, CommandFailed } from '../errors.ts';
import { formatClock } from '../format.ts';
import { replaceControlCharacters, type Terminal, wrapText } from '../terminal.ts';

export function registerTrace(program: Command): void {
  program
    .command('trace')
    .description('show what happened to a request')
    .argument('<id>', 'x-request-id of the response, or a trace id')
    .addHelpText(
      'after',
      `
The agent keeps the last requests that HAProxy logged. It keeps sampled ones
longer, and failed and slow ones in history. The edge reports its part up to
20 s later.

Examples:
  acgs-lb trace 456f4be3-cd74-433c-1q
  acgs-lb trace 0af7651916cd43dd8448eb211c80319c --json`,
    )
    .action(async (id: string, _options: object, command: Command) => {
      if (!isRequestId(id)) {
        throw new CliUsageError(
          `${JSON.stringify(id)} is not a request id: 1 to 128 characters of A-Z a-z 0-9 . _ : / + = -`,
        );
      }
      const context = contextOf(command);
      const client = await context.client();
      const path = `/v1/trace/${encodeURIComponent(id)}`;
      const traced = await client.get(path, 'tracedRequestsSchema').catch((error: unknown) => {
        // The id may be right, and the request not kept.
        if (!(error instanceof ApiError && error.status === 404)) throw error;
        throw new CommandFailed(error.message);
      });
      context.print(traced, () => formatTrace(traced, context.terminal));
    });
}

type ShownRequest = TracedRequests['requests'][number];

export const formatTrace = ({ requests }: TracedRequests, terminal: Terminal): string =>
  requests.map((request) => formatRequest(request, terminal)).join('\n\n');

function formatRequest(request: ShownRequest, terminal: Terminal): string {
  const { method, path, status, requestId, traceId, steps, unknown } = request;
  const result = status === null ? 'no response' : String(status);
  const isGood = status !== null && status < 500;
  const head = `${method} ${shown(path)} → ${terminal.paint(isGood ? 'green' : 'red', result)}`;
  const ids = `${formatClock(request.at)}  request ${requestId || '–'}  trace ${traceId ?? '–'}`;
  const width = Math.max(...steps.map(({ offsetMs }) => String(offsetMs).length));
  const lines = steps.map(({ offsetMs, by, text }) => {
    const start = `${String(offsetMs).padStart(width)} ms  ${by.padEnd(7)}  `;
    return (
      (by === 'edge' ? start : terminal.paint('cyan', start)) + wrapText(shown(text), start.length, terminal)
    );
  });
  const missing = unknown.map((text) => `  ${wrapText(text, 2, terminal)}`);
  return [head, ids, '', ...lines, ...(missing.length > 0 ? ['', 'Unknown:', ...missing] : [])].join('\n');
}

const shown = (text: string): string => replaceControlCharacters(text);
