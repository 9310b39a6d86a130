import { haproxyCommand } from '../../dev/servers/haproxy.ts';
import type { StackFile } from '../../dev/stack/stack-file.ts';

/** HAProxy's statistics of one server (or `BACKEND`) by column name; empty while HAProxy reloads. */
export async function serverStat(
  stack: StackFile,
  backend: string,
  server: string,
): Promise<Record<string, string>> {
  const csv = await haproxyCommand(stack.haproxySocket ?? '', 'show stat');
  const [header = '', ...rows] = csv.replace(/^# /, '').trim().split('\n');
  const columns = header.split(',');
  const row = rows.map((line) => line.split(',')).find(([px, sv]) => px === backend && sv === server) ?? [];
  return Object.fromEntries(columns.map((column, index) => [column, row[index] ?? '']));
}

/** The edge's status document, as text. */
export async function edgeStatus(stack: StackFile): Promise<string> {
  const response = await fetch(`${stack.edge}/__acgs/status`, {
    headers: { authorization: `Bearer ${stack.edgeToken}` },
  });
  return response.text();
}
