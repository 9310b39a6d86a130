import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

export interface ManPage {
  name: string;
  /** 1: a command for everyone; 8: for root. */
  section: 1 | 8;
  summary: string;
  /** Plain text, shown as it is. */
  text: string;
  version: string;
  /** Seconds since 1970, for the same bytes from the same commit. */
  epoch: number;
}

/** A manual page in the language of man(7). */
export function manPage({ name, section, summary, text, version, epoch }: ManPage): string {
  const date = new Date(epoch * 1000).toISOString().slice(0, 10);
  return `.TH ${name.toUpperCase()} ${section} ${date} "acgs-lb ${version}"
.SH NAME
${escapeRoff(name)} \\- ${escapeRoff(summary)}
.SH DESCRIPTION
.nf
${escapeRoff(text.trimEnd())}
.fi
.SH FILES
.I /etc/acgs-lb/acgs\\-lb.yaml
.br
.I /etc/acgs-lb/agent.env
.SH SEE ALSO
.BR haproxy (1),
.I /usr/share/doc/acgs\\-lb/
`;
}

/** A line must not start with a dot or an apostrophe, which are requests. */
const escapeRoff = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll(/^([.'])/gm, '\\&$1');

export const writeManPage = (file: string, page: ManPage): void =>
  writeFileSync(file, gzipSync(manPage(page), { level: 9 }));
