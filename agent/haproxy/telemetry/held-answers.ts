/**
 * Finds answers that a service always delays on purpose, such as long polls. The time of such a held answer depends on
 * the class of its request, so it says nothing about the instance.
 */
export interface HeldAnswers {
  /** Records an answer and returns whether answers of this class are held. */
  observe(service: string, answer: ObservedAnswer, now: number): boolean;
  /** False: most answers of this class end soon, so an answer that takes seconds has stopped. */
  mayStayOpen(service: string, request: string): boolean;
  /** The recent classes that look like streams, or like long polls in services whose other classes are quick. */
  list(now: number): HeldClass[];
}

interface ObservedAnswer {
  /** `GET /path HTTP/1.1` */
  request: string;
  /** Until the response headers. */
  latencyMs: number;
  /** The connection stayed open for long after the headers, with few bytes. */
  isStream: boolean;
}

export interface HeldClass {
  service: string;
  /** The first segments of the path. */
  path: string;
}

interface AnswerClass extends HeldClass {
  answers: number;
  long: number;
  streams: number;
  lastAt: number;
}

/** An answer that takes longer than this is long. */
const LONG_MS = 1_000;
/**
 * A class is held when more than half of its answers, from all instances, are long. This is the minimum number of
 * answers.
 */
const MIN_ANSWERS = 5;
/** At this count all numbers are halved, so that a class can change. */
const MAX_ANSWERS = 200;
const MAX_CLASSES = 1_000;
const CLASS_SEGMENTS = 3;

/** A class is listed for this long after its last answer. */
const LISTED_MS = 15 * 60_000;
const MIN_LISTED_ANSWERS = 5;
/**
 * For late answers: the other classes of the service must have this many answers, at most this share of them long.
 * Otherwise the service is slow.
 */
const MIN_OTHER_ANSWERS = 20;
const MAX_OTHER_LONG = 0.1;

export function createHeldAnswers(): HeldAnswers {
  const classes = new Map<string, AnswerClass>();
  return {
    observe(service, { request, latencyMs, isStream }, now) {
      const key = keyOf(service, request);
      const path = classOf(request)[1];
      const known = classes.get(key) ?? { service, path, answers: 0, long: 0, streams: 0, lastAt: now };
      // Keeps the map in order of last use.
      classes.delete(key);
      classes.set(key, known);
      if (classes.size > MAX_CLASSES) classes.delete(classes.keys().next().value ?? '');
      known.lastAt = now;
      known.answers += 1;
      if (latencyMs >= LONG_MS) known.long += 1;
      else if (isStream) known.streams += 1;
      if (known.answers >= MAX_ANSWERS) {
        known.answers /= 2;
        known.long /= 2;
        known.streams /= 2;
      }
      return known.answers >= MIN_ANSWERS && known.long > known.answers / 2;
    },
    mayStayOpen(service, request) {
      const known = classes.get(keyOf(service, request));
      return known === undefined || known.answers < MIN_ANSWERS || isOpenForLong(known);
    },
    list(now) {
      const recent = [...classes.values()].filter(({ lastAt }) => now - lastAt < LISTED_MS);
      return [...Map.groupBy(recent, ({ service }) => service).values()].flatMap(heldOf);
    },
  };
}

/** The held classes of one service. */
function heldOf(classes: readonly AnswerClass[]): HeldClass[] {
  const { held = [], other = [] } = Object.groupBy(classes, (one) => (isOpenForLong(one) ? 'held' : 'other'));
  const answers = other.reduce((sum, one) => sum + one.answers, 0);
  const long = other.reduce((sum, one) => sum + one.long, 0);
  const isQuick = answers >= MIN_OTHER_ANSWERS && long <= answers * MAX_OTHER_LONG;
  // The headers of a stream arrive at once, so the service is not slow.
  return held
    .filter((one) => isQuick || one.streams > one.answers / 2)
    .filter((one) => one.answers >= MIN_LISTED_ANSWERS)
    .map(({ service, path }) => ({ service, path }));
}

/** More than half of its answers are late, or streams. */
const isOpenForLong = ({ answers, long, streams }: AnswerClass): boolean => long + streams > answers / 2;

const keyOf = (service: string, request: string): string => `${service} ${classOf(request).join(' ')}`;

/** Method and first segments of the path, because ids usually come later. */
function classOf(target: string): [method: string, path: string] {
  const [method = '', path = ''] = target.split(' ', 2);
  const end = path.indexOf('?');
  const plain = end < 0 ? path : path.slice(0, end);
  return [method, plain.split('/', CLASS_SEGMENTS + 1).join('/')];
}
