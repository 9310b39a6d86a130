import { nextFrame, type StatusFrame } from './state-delta.ts';
import type { StatusDocument } from './status.ts';

/** Frames made once for everybody who watches, and only while somebody does. */
export interface StatusFrames {
  /** The first frame after number `after`, at once or when it is made. */
  next(after: number): Promise<StatusFrame>;
  /** Something changed that should not wait for the second to pass. */
  hurry(): void;
}

const EVERY_MS = 1_000;
/** Changes in a row are told together. */
const HURRY_MS = 200;

export function createStatusFrames(
  status: () => StatusDocument,
  now = () => performance.now(),
): StatusFrames {
  let frame: StatusFrame | null = null;
  let madeAt = 0;
  let timer: NodeJS.Timeout | undefined;
  let waiting: ((frame: StatusFrame) => void)[] = [];

  function make(): void {
    timer = undefined;
    madeAt = now();
    frame = nextFrame(frame, status());
    const due = waiting;
    waiting = [];
    for (const tell of due) tell(frame);
  }

  function schedule(ms: number): void {
    clearTimeout(timer);
    timer = setTimeout(make, frame ? Math.max(0, madeAt + ms - now()) : 0);
    timer.unref();
  }

  return {
    next(after) {
      if (frame && frame.number > after && now() - madeAt < EVERY_MS) return Promise.resolve(frame);
      return new Promise((resolve) => {
        waiting.push(resolve);
        if (!timer) schedule(EVERY_MS);
      });
    },
    hurry() {
      if (timer && waiting.length > 0) schedule(HURRY_MS);
    },
  };
}
