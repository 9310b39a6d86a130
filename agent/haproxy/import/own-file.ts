import type { Config } from '../../../shared/config/config.ts';
import { excludesGroup, requiredGlobalLines } from './beside-file.ts';
import { effective, lastOf, type ProxySection, proxiesOf } from './file/proxies.ts';
import { keywordOf, parseSections, type Statement } from './file/sections.ts';

/** Something that the operator's own file lacks for mode `beside`. */
export interface OwnFileProblem {
  severity: 'fail' | 'warn';
  detail: string;
  /** The lines to add, and where. */
  mend: string;
}

/** Compares the operator's file with what the agent needs. `text` holds all files that HAProxy loads before ours. */
export function ownFileProblems(text: string, { haproxy, services }: Config): OwnFileProblem[] {
  const { sections } = parseSections(text);
  const global = sections.filter(({ kind }) => kind === 'global').flatMap(({ body }) => body);
  const missing = requiredGlobalLines(haproxy)
    .filter(({ isMet }) => !global.some(({ words }) => isMet(words)))
    .map(
      (line): OwnFileProblem => ({
        severity: 'fail',
        detail: `the section global lacks: ${line.text}`,
        mend: `add the line; ${line.purpose}`,
      }),
    );
  const bytes = Number(lastOf(global, 'tune.bufsize')?.words[1] ?? 16_384);
  const wanted = haproxy.maxHeaderBytes * 2;
  const users = proxiesOf(sections).filter((proxy) => usesService(proxy, services));
  const unused = Object.keys(services).filter(
    (name) => !users.some((proxy) => targetsOf(proxy).includes(name)),
  );
  return [
    ...missing,
    ...global.filter(({ words }) => excludesGroup(words, haproxy.socket)).map(closedSocket),
    ...users.flatMap(unloggedFrontend),
    ...(haproxy.rateLimit ? users.flatMap(unlimitedFrontend) : []),
    ...(bytes < wanted
      ? [
          {
            severity: 'warn' as const,
            detail: `tune.bufsize is ${bytes}, so HAProxy refuses header fields that haproxy.maxHeaderBytes (${haproxy.maxHeaderBytes}) allows`,
            mend: `add to the section global: tune.bufsize ${wanted}`,
          },
        ]
      : []),
    ...(unused.length > 0
      ? [
          {
            severity: 'warn' as const,
            detail: `no frontend of your own uses ${unused.join(', ')}`,
            mend: `add to a frontend: use_backend ${unused[0]} if …; without it, only acgs-lb's gateway at ${haproxy.bind.join(', ')} serves it`,
          },
        ]
      : []),
  ];
}

const closedSocket = ({ text }: Statement): OwnFileProblem => ({
  severity: 'warn',
  detail: `HAProxy's group cannot use the socket: ${text}`,
  mend: 'write in this line: mode 660 group haproxy; then restart HAProxy, because a reload keeps the mode of the file',
});

const targetsOf = ({ section }: ProxySection): string[] =>
  section.body
    .filter((statement) => ['use_backend', 'default_backend'].includes(keywordOf(statement)))
    .map(({ words }) => words[1] ?? '');

const usesService = (proxy: ProxySection, services: Config['services']): boolean =>
  targetsOf(proxy).some((name) => services[name] !== undefined);

/** Our backends count requests with stick counter 2, unless the frontend already uses it. */
function unlimitedFrontend({ section }: ProxySection): OwnFileProblem[] {
  const tracks = section.body.some(({ words }) => words.includes('track-sc2'));
  if (!tracks) return [];
  return [
    {
      severity: 'warn',
      detail: `${section.kind} ${section.name} uses track-sc2, so haproxy.rateLimit does not apply to its requests`,
      mend: 'use track-sc0 or track-sc1 there; the backends of acgs-lb count with sc2',
    },
  ];
}

/** The agent reads latencies and requests from the log of the frontends. */
function unloggedFrontend(proxy: ProxySection): OwnFileProblem[] {
  const { section, defaults } = proxy;
  const isGlobalLog = [...(defaults?.body ?? []), ...section.body].some(
    ({ words }) => words[0] === 'log' && words[1] === 'global',
  );
  const format = effective(proxy, 'log-format');
  const lacking = [
    ...(isGlobalLog ? [] : ['log global']),
    ...(effective(proxy, 'option httplog') || format ? [] : ['option httplog']),
  ];
  if (lacking.length === 0 && !format) return [];
  return [
    {
      severity: 'warn',
      detail: `the log of ${section.kind} ${section.name} does not reach the agent: no latencies and no request counts for its traffic`,
      mend: format
        ? 'replace log-format by option httplog, or let its first eleven fields be those of option httplog'
        : `add to the section or to its defaults: ${lacking.join(', and ')}`,
    },
  ];
}
