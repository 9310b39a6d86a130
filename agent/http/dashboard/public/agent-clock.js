// All times on the page are the agent's; the browser's clock may differ by minutes.

let offsetMs = 0;

/** @param {number} at the agent's time in the message that just arrived, epoch milliseconds */
export function setAgentTime(at) {
  offsetMs = at - Date.now();
}

export const agentNow = () => Date.now() + offsetMs;

/** How far the browser's clock is ahead of the agent's, milliseconds; negative when behind. */
export const browserAheadMs = () => -offsetMs;
