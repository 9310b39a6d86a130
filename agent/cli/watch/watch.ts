import { errorMessage } from '../../../shared/error-message.ts';
import type { StatusDocument } from '../../http/schemas/status.ts';
import type { Terminal } from '../terminal.ts';
import { pressKey, type WatchState, watchFrame } from './frame.ts';
import { openScreen } from './screen.ts';

const RETRY_MS = 1_000;
/** How often ages are drawn again while no status arrives. */
const REDRAW_MS = 1_000;

/** Shows the status on the whole terminal until a key or a signal ends the process. Reconnects after errors. */
export async function watchStatus(
  terminal: Terminal,
  { all, open }: { all: boolean; open(): AsyncIterable<StatusDocument> },
): Promise<never> {
  let state: WatchState = { status: null, error: '', all, top: 0 };
  const draw = (): void => screen.draw(watchFrame(state, terminal, Date.now()));
  const change = (next: Partial<WatchState>): void => {
    state = { ...state, ...next };
    draw();
  };
  const screen = openScreen({ redraw: draw, key: (key) => change(pressKey(state, key, terminal)) });
  setInterval(() => state.error && draw(), REDRAW_MS);
  for (;;) {
    try {
      for await (const status of open()) change({ status, error: '' });
      change({ error: 'the agent closed the stream' });
    } catch (error) {
      change({ error: errorMessage(error) });
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}
