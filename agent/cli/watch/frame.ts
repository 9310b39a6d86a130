import stringWidth from 'fast-string-width';
import type { StatusDocument } from '../../http/schemas/status.ts';
import { formatAge } from '../format.ts';
import { type StatusParts, statusParts } from '../status-view.ts';
import { type Terminal, truncate, wrapText } from '../terminal.ts';

/** What the screen shows: the status and the scroll position. */
export interface WatchState {
  /** Null until the first status. */
  status: StatusDocument | null;
  /** Why no newer status arrives; empty while they arrive. */
  error: string;
  /** Also list healthy instances. */
  all: boolean;
  /** The first line of the body that is shown. */
  top: number;
}

export type WatchKey = 'up' | 'down' | 'pageUp' | 'pageDown' | 'home' | 'end' | 'toggleAll';

/** The header is cut to this height: the body must stay visible on 24 lines. */
const MAX_HEADER_LINES = 4;

interface FrameLayout {
  header: string[];
  body: string[];
  /** Lines of the body that fit. */
  height: number;
}

/** The lines of one frame, one for each line of the terminal: the verdict, a part of the details, the keys. */
export function watchFrame(state: WatchState, terminal: Terminal, now: number): string[] {
  const { header, body, height } = layOut(state, terminal, now);
  const top = clampTop(state.top, body.length, height);
  const shown = body.slice(top, top + height);
  const blank = Array.from({ length: height - shown.length }, () => '');
  return [
    ...header,
    ...shown,
    ...blank,
    footer(terminal, { top, height, total: body.length, all: state.all }),
  ];
}

/** Returns the state after a key press. */
export function pressKey(state: WatchState, key: WatchKey, terminal: Terminal): WatchState {
  if (key === 'toggleAll') return { ...state, all: !state.all, top: 0 };
  const { body, height } = layOut(state, terminal, 0);
  const top = clampTop(state.top, body.length, height);
  const page = Math.max(1, height - 1);
  const moved = {
    up: top - 1,
    down: top + 1,
    pageUp: top - page,
    pageDown: top + page,
    home: 0,
    end: body.length,
  };
  return { ...state, top: clampTop(moved[key], body.length, height) };
}

const clampTop = (top: number, total: number, height: number): number =>
  Math.max(0, Math.min(top, total - height));

function layOut({ status, error, all }: WatchState, terminal: Terminal, now: number): FrameLayout {
  const age = status ? `; showing the state of ${formatAge(now - status.at)} ago` : '';
  const trouble = error ? [terminal.paint('red', wrapText(`${error}; retrying${age}`, 2, terminal))] : [];
  const parts = status && statusParts(status, terminal, all ? 'all' : 'folded');
  const header = linesOf([...trouble, ...(parts ? [parts.verdict, parts.facts.traffic] : [])]).slice(
    0,
    MAX_HEADER_LINES,
  );
  const sections = parts ? [parts.alerts, parts.instances, parts.changes, otherFacts(parts.facts)] : [];
  const body = sections
    .filter((section) => section !== '')
    .flatMap((section, index) => linesOf([...(index > 0 ? [''] : []), section]));
  const height = Math.max(1, terminal.rows - header.length - 2);
  return { header: [...header, ''], body, height };
}

/** The header has the traffic already. */
const otherFacts = ({ traffic: _traffic, ...others }: StatusParts['facts']): string =>
  Object.values(others).filter(Boolean).join('\n');

const linesOf = (texts: readonly string[]): string[] => texts.flatMap((text) => text.split('\n'));

function footer(
  { columns, paint }: Terminal,
  { top, height, total, all }: { top: number; height: number; total: number; all: boolean },
): string {
  const keys = `q quit  ↑ ↓ PgUp PgDn scroll  a ${all ? 'fold healthy' : 'list all'}`;
  const last = Math.min(total, top + height);
  const place = total > height ? `${top + 1}–${last} of ${total}` : '';
  const gap = ' '.repeat(Math.max(2, columns - stringWidth(keys) - stringWidth(place)));
  return paint('dim', truncate(`${keys}${gap}${place}`.trimEnd(), columns));
}
