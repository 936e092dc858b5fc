// Talk to the run that served this page; everything is on one host.

const PATIENCE_MS = 8000;

// Nobody answered, or not in full: the run has ended, or its host is very busy.
export class Unanswered extends Error {}

async function answered(path, options) {
  let answer, told;
  try {
    answer = await fetch(path, { ...options, signal: AbortSignal.timeout(PATIENCE_MS) });
    told = await answer.json();
  } catch (fault) {
    throw new Unanswered("The run does not answer.", { cause: fault });
  }
  if (!answer.ok) throw new Error(told.error);
  return told;
}

export function get(path) {
  return answered(path, {});
}

export function post(path, body, token = "") {
  const headers = { "content-type": "application/json", "x-swarmbed-token": token };
  return answered(path, { method: "POST", headers, body: JSON.stringify(body) });
}

// The values of a label, by the selector that Grafana's `label_values(selector, label)` has.
export async function labelValues(selector, label) {
  const told = await get(`/api/v1/label/${label}/values?match[]=${encodeURIComponent(selector)}`);
  return told.data;
}
