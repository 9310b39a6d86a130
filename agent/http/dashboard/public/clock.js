// The agent's clock, which all instants on the page are of. The browser's may be minutes off.

let offsetMs = 0;

/** @param {number} at the agent's instant, as a frame just told it */
export function setAgentTime(at) {
  offsetMs = at - Date.now();
}

export const agentNow = () => Date.now() + offsetMs;

/** How far this browser's clock is ahead of the agent's, milliseconds; negative: behind. */
export const aheadMs = () => -offsetMs;
