/** @import { StatusDocument, StateDelta } from './types.d.ts' */

/**
 * The status with what the agent has told since. Throws when the news does not fit: then the whole is due again.
 * @param {StatusDocument} status @param {StateDelta} news @returns {StatusDocument}
 */
export function withNews(status, news) {
  const told = new Map(news.services.map((service) => [service.id, service]));
  const services = status.services.map((service) => {
    const own = told.get(service.id);
    if (!own) return service;
    told.delete(service.id);
    const changed = new Map(own.instances.map((instance) => [instance.id, instance]));
    const gone = new Set(own.gone);
    const instances = service.instances
      .filter(({ id }) => !gone.has(id))
      .map((instance) => {
        const next = changed.get(instance.id);
        changed.delete(instance.id);
        return next ?? instance;
      });
    return { ...service, ...own.head, instances: [...instances, ...changed.values()] };
  });
  if (told.size > 0) throw new Error('news of a service nobody knows');
  return { ...status, ...news.top, services };
}
