import { isServingState } from '../../../shared/serving.ts';
import type { Instance } from '../../core/state.ts';
import type { Condition } from './condition.ts';

/** One condition for each service in which an instance that serves does worse than its peers. */
export function outlierConditions(instances: Iterable<Instance>): Condition[] {
  const outliers = [...instances].flatMap(({ id, service, state, outlier }) =>
    outlier && isServingState(state) ? [{ id, service, ...outlier }] : [],
  );
  return [...Map.groupBy(outliers, ({ service }) => service)].map(([service, members]): Condition => {
    const texts = members.map(
      ({ id, cause, evidence, share }) =>
        `${id} is ${cause} (${evidence}), with ${Math.round(100 * share)} % of its weight`,
    );
    return {
      rule: 'outlier',
      service,
      subject: '',
      severity: 'warning',
      value: members.length,
      threshold: 1,
      message: `${service}: ${texts.join('; ')}`,
      since: Math.min(...members.map(({ since }) => since)),
    };
  });
}
