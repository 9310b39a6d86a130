import type { StatusDocument, StatusInstance, StatusService } from './status.ts';

/** One moment as it goes over the wire: whole, or only what differs from the moment before. */
export interface StatusFrame {
  number: number;
  /** How many there are in all services. */
  instances: number;
  whole(): string;
  /** Null where the services themselves are others now: only the whole tells it. */
  news: string | null;
  /** For the next one to differ from. */
  parts: FrameParts;
}

/** What `news` holds. The page puts it into the status it has (public/news.js). */
export interface StateDelta {
  /** Members of the status but `services`, where they differ. */
  top: Partial<Omit<StatusDocument, 'services'>>;
  services: ServiceDelta[];
}

export interface ServiceDelta {
  id: string;
  head?: Omit<StatusService, 'instances'>;
  instances: StatusInstance[];
  gone: string[];
}

interface FrameParts {
  top: Map<string, string>;
  services: Map<string, ServiceParts>;
}

interface ServiceParts {
  head: string;
  instances: Map<string, { judged: string; whole: string }>;
}

/** Figures of more instances than this are told less often than once a second; judgements never are. */
const FIGURES_AT_ONCE = 200;

export function nextFrame(before: StatusFrame | null, status: StatusDocument): StatusFrame {
  const number = (before?.number ?? 0) + 1;
  const { services, ...top } = status;
  const instances = services.reduce((sum, service) => sum + service.instances.length, 0);
  const withFigures = number % Math.max(1, Math.ceil(instances / FIGURES_AT_ONCE)) === 0;
  const parts: FrameParts = {
    top: new Map(Object.entries(top).map(([name, value]) => [name, JSON.stringify(value)])),
    services: new Map(
      services.map((service) => [service.id, partsOf(service, before?.parts, withFigures)] as const),
    ),
  };
  const news = before && sameServices(before.parts, parts) ? newsText(before.parts, parts) : null;
  return { number, instances, whole: () => wholeText(parts), news, parts };
}

function wholeText({ top, services }: FrameParts): string {
  const members = [...top].map(([name, text]) => `${JSON.stringify(name)}:${text}`);
  const list = [...services.values()].map(({ head, instances }) => {
    const all = [...instances.values()].map(({ whole }) => whole).join(',');
    return `${head.slice(0, -1)},"instances":[${all}]}`;
  });
  return `{${[...members, `"services":[${list.join(',')}]`].join(',')}}`;
}

function partsOf(
  { instances, ...head }: StatusService,
  before: FrameParts | undefined,
  withFigures: boolean,
): ServiceParts {
  const told = before?.services.get(head.id)?.instances;
  return {
    head: JSON.stringify(head),
    instances: new Map(
      instances.map((instance) => {
        const { traffic: _, inflight: __, queued: ___, latencyMs: ____, ...judgement } = instance;
        const judged = JSON.stringify(judgement);
        const known = told?.get(instance.id);
        // Not told yet, so not known on the other side either.
        if (known && known.judged === judged && !withFigures) return [instance.id, known];
        return [instance.id, { judged, whole: JSON.stringify(instance) }];
      }),
    ),
  };
}

const sameServices = (a: FrameParts, b: FrameParts): boolean =>
  a.services.size === b.services.size && [...b.services.keys()].every((id) => a.services.has(id));

function newsText(before: FrameParts, after: FrameParts): string {
  const top = [...after.top]
    .filter(([name, text]) => before.top.get(name) !== text)
    .map(([name, text]) => `${JSON.stringify(name)}:${text}`);
  const services = [...after.services].flatMap(([id, now]) => {
    const then = before.services.get(id);
    const instances = [...now.instances].filter(
      ([key, { whole }]) => then?.instances.get(key)?.whole !== whole,
    );
    const gone = [...(then?.instances.keys() ?? [])].filter((key) => !now.instances.has(key));
    const head = then?.head === now.head ? '' : `"head":${now.head},`;
    if (!head && instances.length === 0 && gone.length === 0) return [];
    const list = instances.map(([, { whole }]) => whole).join(',');
    return [`{"id":${JSON.stringify(id)},${head}"instances":[${list}],"gone":${JSON.stringify(gone)}}`];
  });
  return `{"top":{${top.join(',')}},"services":[${services.join(',')}]}`;
}
