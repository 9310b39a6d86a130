import { readdirSync, readFileSync } from 'node:fs';

/** What one minute of the soak showed. */
export interface SoakMinute {
  minute: number;
  fault: string;
  requests: number;
  getFailed: number;
  postFailed: number;
  slow: number;
  agentMiB: number;
  edgeMiB: number;
  haproxyMiB: number;
  agentDescriptors: number;
}

/** Resident memory of a process and its children, MiB: workerd is a child of the edge. */
export function residentMiB(pid: number | null): number {
  if (pid === null) return 0;
  const own = /VmRSS:\s+(\d+) kB/.exec(readOrEmpty(`/proc/${pid}/status`))?.[1] ?? 0;
  const children = readOrEmpty(`/proc/${pid}/task/${pid}/children`).trim().split(' ').filter(Boolean);
  return (
    Math.round(Number(own) / 1024) + children.reduce((sum, child) => sum + residentMiB(Number(child)), 0)
  );
}

export function openDescriptors(pid: number | null): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

const WIDTH = 720;
const HEIGHT = 220;
const COLORS = { agentMiB: '#0a7d4f', edgeMiB: '#b3541e', haproxyMiB: '#3b5bdb' } as const;

/** Memory of the three programs over the minutes of the soak. */
export function soakChart(report: readonly SoakMinute[]): string {
  const names = Object.keys(COLORS) as (keyof typeof COLORS)[];
  const most = Math.max(1, ...report.flatMap((row) => names.map((name) => row[name])));
  const x = (index: number): number => 40 + (index / Math.max(1, report.length - 1)) * (WIDTH - 60);
  const y = (value: number): number => HEIGHT - 30 - (value / most) * (HEIGHT - 50);
  const lines = names.map((name) => {
    const points = report.map((row, index) => `${x(index).toFixed(1)},${y(row[name]).toFixed(1)}`).join(' ');
    return `<polyline fill="none" stroke="${COLORS[name]}" stroke-width="2" points="${points}"/>`;
  });
  const legend = names.map(
    (name, index) =>
      `<text x="${60 + index * 160}" y="14" fill="${COLORS[name]}">${name.replace('MiB', '')}, MiB</text>`,
  );
  const axes = [
    `<text x="4" y="${y(most) + 4}">${most}</text>`,
    `<text x="4" y="${y(0) + 4}">0</text>`,
    `<text x="${WIDTH - 90}" y="${HEIGHT - 8}">${report.length} minutes</text>`,
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" font-family="sans-serif" font-size="11"><title>Memory during the soak</title><rect width="100%" height="100%" fill="#fff"/>${[...lines, ...legend, ...axes].join('')}</svg>\n`;
}
