/**
 * Finds answers that a service always delays on purpose, such as long polls. The time of such a held answer depends on
 * the class of its request, so it says nothing about the instance.
 */
export interface HeldAnswers {
  /** Records an answer and returns whether answers of this class are held. */
  observe(service: string, target: string, latencyMs: number): boolean;
}

interface AnswerClass {
  answers: number;
  long: number;
}

/** An answer that takes longer than this is long. */
const LONG_MS = 1_000;
/**
 * A class is held when more than half of its answers, from all instances, are long. This is the minimum number of
 * answers.
 */
const MIN_ANSWERS = 5;
/** At this count both numbers are halved, so that a class can change. */
const MAX_ANSWERS = 200;
const MAX_CLASSES = 1_000;
const CLASS_SEGMENTS = 3;

export function createHeldAnswers(): HeldAnswers {
  const classes = new Map<string, AnswerClass>();
  return {
    observe(service, target, latencyMs) {
      const key = `${service} ${classOf(target)}`;
      const known = classes.get(key) ?? { answers: 0, long: 0 };
      // Keeps the map in order of last use.
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

/** Method and first segments of the path, because ids usually come later. */
function classOf(target: string): string {
  const [method = '', path = ''] = target.split(' ', 2);
  const end = path.indexOf('?');
  const plain = end < 0 ? path : path.slice(0, end);
  return `${method} ${plain.split('/', CLASS_SEGMENTS + 1).join('/')}`;
}
