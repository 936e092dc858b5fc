// The claims table: prediction beside measurement, and how far apart they are in tolerances.

import { digits } from "./units.js";

function told(value) {
  if (value === null) return "–";
  return typeof value === "number" ? digits(value) : String(value);
}

// A band for the tolerance, a tick for the prediction, a dot for the measurement.
function deviation({ predicted, measured, tolerance, ok }) {
  if (typeof predicted !== "number" || typeof measured !== "number") return "";
  const off = measured - predicted;
  const share = off === 0 ? 0 : tolerance > 0 ? Math.max(-2, Math.min(2, off / tolerance)) : 2 * Math.sign(off);
  const x = 45 + share * 20;
  return `<svg class="deviation ${ok ? "holds" : "doubts"}" viewBox="0 0 90 14" aria-hidden="true">
    <rect x="25" y="2" width="40" height="10" rx="3" fill="var(--line)"/><path d="M45 0V14" stroke="var(--faint)"/>
    <circle cx="${x}" cy="7" r="4" fill="currentColor"/></svg>`;
}

export function verdict(claim, ended) {
  if (claim.ok === null) return ["not judged", "waits"];
  if (ended) return claim.ok ? ["holds", "holds"] : ["FAILS", "fails"];
  if (claim.ok) return ["holds so far", "holds"];
  return claim.measured === null ? ["waits for data", "waits"] : ["not yet", "doubts"];
}

export function drawClaims(body, claims, ended, onChosen) {
  const rows = claims.map((claim) => {
    const row = document.createElement("tr");
    const [text, look] = verdict(claim, ended);
    row.innerHTML = `<td></td><td></td><td></td><td></td><td>${deviation(claim)}</td><td class="verdict ${look}"></td>`;
    const tolerance = claim.ok === null || claim.predicted === null ? "–" : claim.tolerance === 0 ? "exact" : `± ${digits(claim.tolerance)}`;
    [claim.name, told(claim.predicted), told(claim.measured), tolerance].forEach((value, place) => {
      row.children[place].textContent = value;
    });
    row.lastChild.textContent = text;
    row.title = `${claim.source}\n${claim.note}`;
    row.addEventListener("click", () => onChosen(claim.name));
    return row;
  });
  body.replaceChildren(...rows);
}
