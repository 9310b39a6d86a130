import { bodyLimit } from 'hono/body-limit';
import { ProblemError } from './problem.ts';

/** Bodies over `maxKiB` are refused unread. */
export const limitBody = (maxKiB: number) =>
  bodyLimit({
    maxSize: maxKiB * 1024,
    onError: () => {
      // The rest of the body is not read, so the connection is of no more use.
      throw new ProblemError(413, 'Too large', `a body of this kind holds at most ${maxKiB} KiB`, {
        headers: { connection: 'close' },
      });
    },
  });
