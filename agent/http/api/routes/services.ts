import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';
import type { ServiceConfig } from '../../../../shared/config/config.ts';
import { isServingState } from '../../../../shared/serving.ts';
import type { Instance } from '../../../core/state.ts';
import { unknownInstanceText, unknownServiceText } from '../../../core/unknown-name.ts';
import {
  type ApiInstance,
  instanceListSchema,
  instanceSchema,
  serviceListSchema,
  serviceSchema,
  toApiInstance,
} from '../../schemas/instances.ts';
import type { ApiContext } from '../context.ts';
import { jsonContent, problemContent } from '../openapi-helpers.ts';
import { ProblemError } from '../problem.ts';
import { instanceParams, serviceParam } from '../request-schemas.ts';

const listServices = createRoute({
  method: 'get',
  path: '/v1/services',
  summary: 'List services with their instances',
  responses: { 200: jsonContent(serviceListSchema, 'services') },
});
const getService = createRoute({
  method: 'get',
  path: '/v1/services/{service}',
  summary: 'Get one service',
  request: { params: serviceParam },
  responses: { 200: jsonContent(serviceSchema, 'the service'), 404: problemContent('unknown service') },
});
const listInstances = createRoute({
  method: 'get',
  path: '/v1/services/{service}/instances',
  summary: 'List the instances of a service',
  request: { params: serviceParam },
  responses: {
    200: jsonContent(instanceListSchema, 'instances'),
    404: problemContent('unknown service'),
  },
});
const getInstance = createRoute({
  method: 'get',
  path: '/v1/services/{service}/instances/{id}',
  summary: 'Get one instance',
  request: { params: instanceParams },
  responses: { 200: jsonContent(instanceSchema, 'the instance'), 404: problemContent('unknown instance') },
});

/** `localeCompare` would create a collator for every comparison. */
const byNumbersInText = new Intl.Collator('en', { numeric: true });

const sorted = (instances: Iterable<Instance>): ApiInstance[] =>
  [...instances].sort((a, b) => byNumbersInText.compare(a.id, b.id)).map(toApiInstance);

export function registerServiceRoutes(app: OpenAPIHono, context: ApiContext): void {
  const serviceOf = (id: string): ServiceConfig => {
    const service = Object.hasOwn(context.config().services, id) ? context.config().services[id] : undefined;
    if (!service) {
      throw new ProblemError(404, 'Not found', unknownServiceText(id, context.config()));
    }
    return service;
  };
  const instancesOf = (service: string) =>
    sorted(
      context
        .instances()
        .values()
        .filter((instance) => instance.service === service),
    );
  const toApiService = (service: ServiceConfig, instances = instancesOf(service.id)) => {
    return {
      id: service.id,
      routes: service.routes,
      strategy: service.strategy,
      timeoutMs: service.timeout,
      maxconn: service.maxconn,
      up: instances.filter(({ state }) => isServingState(state)).length,
      instances,
    };
  };

  app.openapi(listServices, (request) => {
    // Once for all services: a search for each of 200 services would read ten thousand instances 200 times.
    const byService = Map.groupBy(context.instances().values(), ({ service }) => service);
    const services = Object.values(context.config().services).map((service) =>
      toApiService(service, sorted(byService.get(service.id) ?? [])),
    );
    return request.json({ services }, 200);
  });
  app.openapi(getService, (request) =>
    request.json(toApiService(serviceOf(request.req.valid('param').service)), 200),
  );
  app.openapi(listInstances, (request) =>
    request.json({ instances: instancesOf(serviceOf(request.req.valid('param').service).id) }, 200),
  );
  app.openapi(getInstance, (request) => {
    const { service, id } = request.req.valid('param');
    const instance = context.instances().get(`${serviceOf(service).id}/${id}`);
    if (!instance) {
      const known = { services: context.config().services, instances: context.instances() };
      throw new ProblemError(404, 'Not found', unknownInstanceText(service, id, known));
    }
    return request.json(toApiInstance(instance), 200);
  });
}
