import { AdaptiveThrottle } from '../shared/throttle.ts';

/** One throttle for each service, so that an overloaded service causes no rejections in the others. */
export class Throttles {
  readonly #byService = new Map<string, AdaptiveThrottle>();

  forService({ id }: { readonly id: string }): AdaptiveThrottle {
    let throttle = this.#byService.get(id);
    if (!throttle) {
      throttle = new AdaptiveThrottle();
      this.#byService.set(id, throttle);
    }
    return throttle;
  }
}
