/**
 * Tells answers that a service always holds back, such as long polls, from ordinary ones. A held answer says nothing about
 * its instance: only the class of the request decides when it comes.
 */
export interface HeldAnswers {
  /** Records an answer and returns whether answers of this class are held. */
  observe(service: string, target: string, latencyMs: number): boolean;
}

interface AnswerClass {
  answers: number;
  long: number;
}

/** An answer that takes longer than this may be held … */
const LONG_MS = 1_000;
/** … and is, when more than half of at least so many answers of its class take that long, whichever instance gives them. */
const MIN_ANSWERS = 5;
/** The counts are halved here, so that a class can change. */
const MAX_ANSWERS = 200;
const MAX_CLASSES = 1_000;
const CLASS_SEGMENTS = 3;

export function createHeldAnswers(): HeldAnswers {
  const classes = new Map<string, AnswerClass>();
  return {
    observe(service, target, latencyMs) {
      const key = `${service} ${classOf(target)}`;
      const known = classes.get(key) ?? { answers: 0, long: 0 };
      // The class that was seen last is the last one in the map.
      classes.delete(key);
      classes.set(key, known);
      if (classes.size > MAX_CLASSES) classes.delete(classes.keys().next().value ?? '');
      known.answers += 1;
      if (latencyMs >= LONG_MS) known.long += 1;
      if (known.answers >= MAX_ANSWERS) {
        known.answers /= 2;
        known.long /= 2;
      }
      return known.answers >= MIN_ANSWERS && known.long > known.answers / 2;
    },
  };
}

/** Method and the first segments of the path: ids stand further back. */
function classOf(target: string): string {
  const [method = '', path = ''] = target.split(' ', 2);
  const end = path.indexOf('?');
  const plain = end < 0 ? path : path.slice(0, end);
  return `${method} ${plain.split('/', CLASS_SEGMENTS + 1).join('/')}`;
}
