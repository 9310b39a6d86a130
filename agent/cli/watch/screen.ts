import { constants } from 'node:os';
import { emitKeypressEvents, type Key } from 'node:readline';
import type { WatchKey } from './frame.ts';

/** The alternate screen of a terminal, and its keyboard. */
export interface Screen {
  /** Replaces what is shown, line by line in one write, which avoids flicker. */
  draw(lines: readonly string[]): void;
}

export interface ScreenEvents {
  key(key: WatchKey): void;
  /** The size changed, or the screen was lost and must be drawn. */
  redraw(): void;
}

type Input = Pick<NodeJS.ReadStream, 'isTTY' | 'setRawMode' | 'resume' | 'pause' | 'on'>;
type Output = Pick<NodeJS.WriteStream, 'write' | 'on'>;

const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l';
/** Wrapping on, cursor visible, back to the main screen. */
const LEAVE = '\x1b[?7h\x1b[?25h\x1b[?1049l';

const KEYS: Readonly<Record<string, WatchKey>> = {
  up: 'up',
  k: 'up',
  down: 'down',
  j: 'down',
  return: 'down',
  pageup: 'pageUp',
  b: 'pageUp',
  pagedown: 'pageDown',
  space: 'pageDown',
  home: 'home',
  g: 'home',
  end: 'end',
  'shift-g': 'end',
  a: 'toggleAll',
};

/** Such as `up`, `ctrl-c` or `shift-g`. */
const keyName = ({ name = '', ctrl, meta, shift }: Key): string =>
  `${ctrl ? 'ctrl-' : ''}${meta ? 'meta-' : ''}${shift ? 'shift-' : ''}${name}`;

/**
 * Switches to the alternate screen. Restores the terminal when a key, a signal or an uncaught error ends the process.
 * `q` ends the process with 0, Ctrl-C with 130.
 */
export function openScreen(
  events: ScreenEvents,
  stdin: Input = process.stdin,
  stdout: Output = process.stdout,
): Screen {
  const rawMode = (on: boolean): void => {
    if (stdin.isTTY) stdin.setRawMode(on);
  };
  // After a suspension, a status can arrive before SIGCONT: it must not be drawn on the main screen.
  let isShown = false;
  const enter = (): void => {
    rawMode(true);
    stdout.write(ENTER);
    isShown = true;
  };
  const leave = (): void => {
    isShown = false;
    stdout.write(LEAVE);
    rawMode(false);
  };
  process.once('exit', leave);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => process.exit(128 + constants.signals[signal]));
  }
  process.on('SIGCONT', () => {
    enter();
    events.redraw();
  });
  stdout.on('resize', events.redraw);
  if (stdin.isTTY) {
    emitKeypressEvents(stdin as NodeJS.ReadStream);
    const suspend = (): void => {
      leave();
      process.kill(process.pid, 'SIGTSTP');
    };
    const control: Readonly<Record<string, () => void>> = {
      q: () => process.exit(0),
      'ctrl-c': () => process.exit(130),
      'ctrl-z': suspend,
    };
    stdin.on('keypress', (_text: string | undefined, key: Key) => {
      const name = keyName(key);
      const pressed = KEYS[name];
      if (pressed) events.key(pressed);
      else control[name]?.();
    });
    stdin.resume();
  }
  enter();
  return {
    draw: (lines) => {
      if (!isShown) return;
      // Clear before the text: after a line that fills the width, the cursor is still on its last character.
      stdout.write(`\x1b[H${lines.map((line) => `\x1b[K${line}`).join('\r\n')}`);
    },
  };
}
