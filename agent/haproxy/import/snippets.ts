import { type Node, Scalar } from 'yaml';
import { modernLine } from './file/modern.ts';
import type { ProposalParts } from './parts.ts';
import type { ImportMode, ImportPlan } from './plan.ts';
import type { ExtraStatement } from './services/service.ts';
import type { SnippetLine } from './verbatim.ts';

/** The lines of each key of `haproxy.extra`. */
export type Snippets = Map<string, SnippetLine[]>;

interface SnippetOptions {
  mode: ImportMode;
  /** Lines that HAProxy rejects, with the reason. */
  rejected: ReadonlyMap<number, string>;
}

export function snippetsOf(
  { process, gateway, other }: ProposalParts,
  plan: ImportPlan,
  { mode, rejected }: SnippetOptions,
): Snippets {
  const toLines = (extra: readonly ExtraStatement[]): SnippetLine[] =>
    extra.flatMap(({ text, statement }) =>
      text
        .split('\n')
        .map((line, index) => ({ text: modernLine(line.trim()), line: statement.line + index })),
    );
  const snippets: Snippets = new Map([
    ['global', toLines(process.global)],
    ['defaults', toLines([...process.defaults, ...(gateway?.errorPages ?? [])])],
    ['frontend', toLines(gateway ? [...process.rules, ...gateway.extra] : [])],
    ...[...plan.services].map(([name, { extra }]): [string, SnippetLine[]] => [
      `services.${name}`,
      toLines(extra),
    ]),
    ['other', other],
  ]);
  const rename = mode === 'whole' ? gatewayRenamer(plan) : (text: string) => text;
  for (const [name, lines] of snippets) {
    const kept = lines.filter(({ line }) => line === null || !rejected.has(line));
    // A control character can only be in a comment or in a conditional block.
    snippets.set(
      name,
      kept.map(({ text, line }) => ({ text: rename(text.replaceAll(/[^\P{Cc}\t]/gu, '')), line })),
    );
  }
  return snippets;
}

/** Renames the frontend to `_gateway` in arguments such as `src_http_req_rate(www)` and `table www`. */
function gatewayRenamer({ gateway, services, kept }: ImportPlan): (text: string) => string {
  const name = gateway?.proxy.name ?? '';
  if (name === '' || services.has(name) || kept.has(name)) return (text) => text;
  const escaped = name.replaceAll(/[^A-Za-z0-9]/g, '\\$&');
  const reference = new RegExp(`([(,]|\\btable\\s+)${escaped}(?=[),\\s]|$)`, 'g');
  return (text) => text.replaceAll(reference, '$1_gateway');
}

/** The key `extra`, or nothing. */
export function extraData(snippets: Snippets): Record<string, unknown> {
  const services: Record<string, Node> = {};
  const extra: Record<string, unknown> = {};
  for (const [name, lines] of snippets) {
    if (lines.length === 0) continue;
    const block = new Scalar(`${lines.map(({ text }) => text).join('\n')}\n`);
    block.type = Scalar.BLOCK_LITERAL;
    if (name.startsWith('services.')) services[name.slice('services.'.length)] = block;
    else extra[name] = block;
  }
  const all = { ...extra, ...(Object.keys(services).length > 0 && { services }) };
  return Object.keys(all).length > 0 ? { extra: all } : {};
}
