// What panels' queries gave so far. Only what is new is asked for: past values of a query do not change.

import { post } from "./api.js";

const MOST_POINTS = 600;

// The times to show: as many as fit, at a step that doubles when the window grows, so that it seldom changes.
// Of a run that has ended the last sample counts too: there the times go on to the first after it.
export function timesOf(bounds, windowS, sampleS, ended) {
  const [first, last] = bounds;
  const length = Math.min(last - first, windowS * 1000);
  let step = Math.ceil(sampleS) * 1000;
  while (length / step > MOST_POINTS) step *= 2;
  const end = (ended ? Math.ceil(last / step) : Math.floor(last / step)) * step;
  return { start: Math.ceil((last - length) / step) * step, end, step };
}

export class Samples {
  #kept = new Map(); // by query: { step, until, series: Map of { metric, times, values } }

  // Bring queries up to date, and evaluate others at the end; return what the latter gave, by query, and all errors.
  async update(queries, instant, times) {
    const starts = new Map();
    for (const query of new Set(queries)) {
      let known = this.#kept.get(query);
      if (!known || known.step !== times.step || known.from > times.start) {
        known = { step: times.step, from: times.start, until: times.start - times.step, series: new Map() };
        this.#kept.set(query, known);
      }
      const start = known.until + times.step;
      if (start <= times.end) starts.set(start, [...(starts.get(start) ?? []), query]);
    }
    const found = { instant: new Map(), errors: new Map() };
    if (!starts.size && instant.length) starts.set(times.end, []);
    for (const [start, asked] of starts) await this.#ask(start, asked, instant.splice(0), times, found);
    return found;
  }

  // The series of a query from a time on, each with its labels.
  of(query, start) {
    const series = [...(this.#kept.get(query)?.series.values() ?? [])];
    for (const one of series) {
      let old = 0;
      while (old < one.times.length && one.times[old] < start) old += 1;
      if (old) {
        one.times.splice(0, old);
        one.values.splice(0, old);
      }
    }
    return series.filter((one) => one.times.length);
  }

  async #ask(start, queries, instant, times, found) {
    const asked = { start_ms: start, end_ms: times.end, step_ms: times.step, queries, instant };
    const answers = await post("/page/ask", asked);
    queries.forEach((query, place) => {
      const known = this.#kept.get(query);
      if (answers[place].error) found.errors.set(query, answers[place].error);
      else this.#append(known, answers[place].data.result);
      known.until = times.end;
    });
    instant.forEach((query, place) => {
      const answer = answers[queries.length + place];
      if (answer.error) found.errors.set(query, answer.error);
      else found.instant.set(query, answer.data.result);
    });
  }

  #append(known, result) {
    for (const { metric, values } of result) {
      const key = JSON.stringify(metric);
      if (!known.series.has(key)) known.series.set(key, { metric, times: [], values: [] });
      const series = known.series.get(key);
      for (const [at, text] of values) {
        const time = Math.round(at * 1000);
        const last = series.times.at(-1);
        if (last !== undefined && time - last > known.step) {
          series.times.push(time - known.step); // a gap breaks the line
          series.values.push(null);
        }
        series.times.push(time);
        series.values.push(text === "NaN" ? null : Number(text));
      }
    }
  }
}
