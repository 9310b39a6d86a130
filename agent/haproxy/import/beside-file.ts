import type { ParsedFile, Section } from './file/sections.ts';
import type { ImportPlan } from './plan.ts';
import { contentEnd, frontendLines } from './verbatim.ts';

/**
 * The operator's file for mode `beside`. It lacks the backends that became services, has frontends in place of listen
 * sections, and has the lines that the agent needs in `global`.
 */
export function besideFile(file: ParsedFile, plan: ImportPlan, haproxy: Record<string, unknown>): string {
  const partOf = new Map(plan.frontends.map((part) => [part.proxy.section, part]));
  const starts = new Map(file.sections.map((section) => [section.start, section]));
  const socket = socketOf(haproxy);
  const lines: string[] = [];
  for (let at = 1; at <= file.lines.length; ) {
    const section = starts.get(at);
    const moves =
      section && section.kind !== 'frontend' && plan.services.has(section.name) && plan.proxyOf.has(section);
    if (section && moves) {
      const part = section.kind === 'listen' ? partOf.get(section) : undefined;
      if (part) lines.push(...frontendLines(part.proxy, part.statements).map(({ text }) => text));
      at = contentEnd(file, section);
      continue;
    }
    lines.push(withGroupAccess(file.lines[at - 1] ?? '', socket));
    if (section?.kind === 'global') lines.push(...missingGlobalLines(file, section, haproxy));
    at += 1;
  }
  if (!file.sections.some(({ kind }) => kind === 'global'))
    lines.unshift('global', ...missingGlobalLines(file, null, haproxy), '');
  return `${lines
    .join('\n')
    .replaceAll(/\n{3,}/g, '\n\n')
    .trim()}\n`;
}

const socketOf = (haproxy: Record<string, unknown>): string =>
  typeof haproxy.socket === 'string' ? haproxy.socket : '/run/haproxy/admin.sock';

const isSocketLine = (words: readonly string[], socket: string): boolean =>
  words[0] === 'stats' && words[1] === 'socket' && words[2] === socket;

/** Whether the mode keeps out the group `haproxy`, to which the agent belongs. */
export const excludesGroup = (words: readonly string[], socket: string): boolean =>
  isSocketLine(words, socket) && /^0?[0-7][0-5][0-7]$/.test(words[words.indexOf('mode') + 1] ?? '');

/** The line of the agent's socket, open to the group `haproxy`; any other line unchanged. */
function withGroupAccess(line: string, socket: string): string {
  if (!excludesGroup(line.trim().split(/\s+/), socket)) return line;
  const rest = line.replace(/\s+group\s+\S+/, '');
  return rest.replace(/(\smode\s+)\S+/, '$1660 group haproxy');
}

/** The lines that the agent needs in the first `global` section. */
function missingGlobalLines(
  file: ParsedFile,
  section: Section | null,
  haproxy: Record<string, unknown>,
): string[] {
  const globals = file.sections.filter(({ kind }) => kind === 'global');
  if (section && section !== globals[0]) return [];
  const statements = globals.flatMap(({ body }) => body);
  return requiredGlobalLines({
    socket: socketOf(haproxy),
    agentCheck: typeof haproxy.agentCheck === 'string' ? haproxy.agentCheck : '127.0.0.1:9401',
  })
    .filter(({ isMet }) => !statements.some(({ words }) => isMet(words)))
    .map(({ text }) => `    ${text}`);
}

export interface RequiredLine {
  text: string;
  /** What the agent does with it. */
  purpose: string;
  isMet(words: readonly string[]): boolean;
}

/** What the agent needs in the `global` section of the operator's file. */
export const requiredGlobalLines = ({
  socket,
  agentCheck,
}: {
  socket: string;
  agentCheck: string;
}): RequiredLine[] => [
  {
    text: `stats socket ${socket} mode 660 group haproxy level admin expose-fd listeners`,
    purpose: 'the agent controls the servers through this socket',
    isMet: (words) => isSocketLine(words, socket) && words.includes('admin'),
  },
  {
    text: `log ${agentCheck} len 512 format raw local1 info`,
    purpose: 'the agent reads latencies and request counts from this log',
    isMet: (words) => words[0] === 'log' && words[1] === agentCheck && words.includes('raw'),
  },
];
