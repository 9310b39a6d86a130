interface CommandBlock {
  /** Line number of the opening fence, from 1. */
  line: number;
  text: string;
}

/** The command blocks of a page that are marked ```sh check, in order. */
export function commandBlocks(page: string): CommandBlock[] {
  const blocks: CommandBlock[] = [];
  let open: { line: number; lines: string[] } | null = null;
  for (const [index, line] of page.split('\n').entries()) {
    if (open && line.startsWith('```')) {
      blocks.push({ line: open.line, text: open.lines.join('\n') });
      open = null;
    } else if (open) open.lines.push(line);
    else if (/^```sh check\s*$/.test(line)) open = { line: index + 1, lines: [] };
  }
  return blocks;
}

export interface StackAddresses {
  /** Offset of the stack's ports from those of the shipped configuration. */
  offset: number;
  stateDir: string;
  haproxySocket: string;
  /** A temporary folder. */
  scratch: string;
}

/** Replaces the ports, sockets and folders of the shipped configuration by those of a stack. */
export function rewriteForStack(
  text: string,
  { offset, stateDir, haproxySocket, scratch }: StackAddresses,
): string {
  return text
    .replaceAll(
      /(127\.0\.0\.1|localhost):(8787|8090|8080|9400|80[01]\d|6390|5442)\b/g,
      (_all, host: string, port: string) => `${host}:${Number(port) + offset}`,
    )
    .replaceAll('/run/haproxy/admin.sock', haproxySocket)
    .replaceAll('/etc/acgs-lb/acgs-lb.yaml', `${stateDir}/acgs-lb.yaml`)
    .replaceAll('/etc/haproxy/acgs.', `${scratch}/acgs.`)
    .replaceAll('/var/backups/acgs-lb', scratch);
}
