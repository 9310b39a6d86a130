import { bodyLimit } from 'hono/body-limit';
import { ProblemError } from './problem.ts';

/** Answers 413 to a body larger than `maxKiB`, without reading the rest of it. */
export const limitBody = (maxKiB: number) =>
  bodyLimit({
    maxSize: maxKiB * 1024,
    onError: () => {
      // The unread rest of the body makes the connection unusable for another request.
      throw new ProblemError(413, 'Too large', `the request body exceeds the limit of ${maxKiB} KiB`, {
        headers: { connection: 'close' },
      });
    },
  });
