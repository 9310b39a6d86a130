import { isServingState } from '../../../shared/serving.ts';
import { fullText } from '../../core/fullness.ts';
import type { Instance } from '../../core/state.ts';
import type { Condition } from './condition.ts';

/** One condition for each service with serving instances at their limit of connections: critical when all are. */
export function fullConditions(instances: Iterable<Instance>): Condition[] {
  const serving = [...instances].filter(({ state }) => isServingState(state));
  return [...Map.groupBy(serving, ({ service }) => service)].flatMap(([service, members]) => {
    const texts = members.flatMap((member) => {
      const text = fullText(member);
      return text === null ? [] : [`${member.id} is ${text}`];
    });
    if (texts.length === 0) return [];
    const condition: Condition = {
      rule: 'instanceFull',
      service,
      subject: '',
      severity: texts.length === members.length ? 'critical' : 'warning',
      value: texts.length,
      threshold: 1,
      message: `${service}: ${texts.join('; ')}`,
    };
    return [condition];
  });
}
