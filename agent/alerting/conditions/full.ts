import { isServingState } from '../../../shared/serving.ts';
import { fullText } from '../../core/fullness.ts';
import type { Instance } from '../../core/state.ts';
import type { Condition } from './condition.ts';

/** One condition for each service with serving instances at their limit of connections: critical when all are. */
export function fullConditions(instances: Iterable<Instance>): Condition[] {
  const serving = [...instances].filter(({ state }) => isServingState(state));
  const full = serving.flatMap((instance) => {
    const text = fullText(instance);
    return text === null ? [] : [{ service: instance.service, text: `${instance.id} is ${text}` }];
  });
  return [...Map.groupBy(full, ({ service }) => service)].map(([service, found]) => {
    const texts = found.map(({ text }) => text);
    const members = serving.filter((instance) => instance.service === service);
    const condition: Condition = {
      rule: 'instanceFull',
      service,
      subject: '',
      severity: texts.length === members.length ? 'critical' : 'warning',
      value: texts.length,
      threshold: 1,
      message: `${service}: ${texts.join('; ')}`,
    };
    return condition;
  });
}
