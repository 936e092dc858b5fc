"""Pure: every quantity of every link and configuration, judged as one family, and what to say of it.

Source: DESIGN section 3 (one family-wise test over all links).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from netem import tc
from netem.delay_histograms import Class
from netem.fates import Cause
from netem.host_time import HostTime
from netem.judge_delays import delay_sums
from netem.judge_fates import fate_sums
from netem.judge_quantiles import TESTS, Sample, judge_quantiles, samples
from netem.judge_rate import judge_rate
from netem.link_config import LinkConfig
from netem.link_count import Columns
from netem.verdicts import Quantity, Verdicts
from netem.whole_network import delay_of_all, loss_of_all

MOST_ROWS = 1_000  # of links or configurations that result.json lists
WORST = 20
TABLE = "links.npz"
"""The file in the run directory that has all links when there are more than `MOST_ROWS`."""
_NAMED = 3
_DROPS = [(cause, f"dropped_{cause.name.lower()}") for cause in Cause]


@dataclass(frozen=True, eq=False)
class LinkReport:
    """What was judged.

    `by_link` and `by_config` have one `Verdicts` a quantity, rows as `columns.links` and `columns.configs`; `by_class` has
    quantiles and distance of delays, rows as `samples`. `tests` is the size of the family, each judged at `level`.
    """

    columns: Columns
    by_link: list[Verdicts]
    by_config: list[Verdicts]
    samples: list[Sample]
    by_class: list[Verdicts]
    loss: Quantity
    delay_s: Quantity
    delays_known: np.ndarray
    tests: int
    level: float

    def reasons(self) -> list[str]:
        """Return what is wrong, the worst of each quantity named."""
        configs = [f"all links with {tc.describe(config)}" for config in self.columns.configs]
        classes = [f"all links with {tc.describe(LinkConfig(sample.impairments))}" for sample in self.samples]
        told = [
            *(line for verdicts in self.by_link for line in _name_worst(verdicts, self._link_name)),
            *(line for verdicts in self.by_config for line in _name_worst(verdicts, configs.__getitem__)),
            *(line for verdicts in self.by_class for line in _name_worst(verdicts, classes.__getitem__)),
        ]
        for name, quantity in (("loss", self.loss), ("delay", self.delay_s)):
            if quantity.packets and not quantity.ok:
                told.append(
                    f"{name} over all links is {quantity.realised:.6f}, configured {quantity.configured:.6f}, "
                    f"allowed difference {quantity.tolerance:.6f}"
                )
        return told

    def _link_name(self, row: int) -> str:
        count = self.columns.links[row]
        return f"{count.source} > {count.target}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for result.json: configurations, and all links or the worst of them."""
        rows = self._worst_links()
        return {
            "count": len(self.columns.links),
            "tests": self.tests,
            "level": self.level,
            "configurations": [self.tell_config(row) for row in range(min(len(self.columns.configs), MOST_ROWS))],
            "configurations_left_out": max(len(self.columns.configs) - MOST_ROWS, 0),
            "changed": int((self.columns.group < 0).sum()),
            "table": TABLE if self.in_file else None,
            "worst" if self.in_file else "each": [self._tell_link(row) for row in rows],
        }

    @property
    def in_file(self) -> bool:
        """Whether there are too many links for result.json, and the table of them has a file of its own."""
        return len(self.columns.links) > MOST_ROWS

    def _worst_links(self) -> list[int]:
        used = np.max([verdicts.used for verdicts in self.by_link], axis=0)
        worst: list[int] = np.argsort(-used, kind="stable").tolist()
        return worst[: WORST if self.in_file else None]

    def tell_config(self, row: int) -> dict[str, Any]:
        """Return plain values for one of `columns.configs`: quantities by name, as `Verdicts.tell`."""
        config = self.columns.configs[row]
        members = self.columns.group == row
        told: dict[str, Any] = {
            "impair": tc.describe(config),
            "links": int(members.sum()),
            "packets": int(self.columns.packets[members].sum()),
            **_tell(self.by_config, row),
        }
        for index, sample in enumerate(self.samples):
            if sample.impairments == config.impairments:
                told |= _tell(self.by_class, index)
        if "delay_p50" not in told:
            told["quantiles"] = {"judged": False, "why": "too many configurations, or changed during the run"}
        for name, why in config.unjudged().items():
            if "ok" not in told.get(name, {}):
                told[name] = told.get(name, {}) | {"judged": False, "why": why}
        return told

    def _tell_link(self, row: int) -> dict[str, Any]:
        count, group = self.columns.links[row], int(self.columns.group[row])
        drops = {name: count.dropped[cause] for cause, name in _DROPS if count.dropped[cause]}
        return {
            "source": count.source,
            "target": count.target,
            "impair": "changed" if group < 0 else tc.describe(self.columns.configs[group]),
            "packets": count.packets,
            "received": count.received,
            **drops,
            "in_flight": count.in_flight,
            **_tell(self.by_link, row),
        }

    def table(self) -> dict[str, np.ndarray]:
        """Return all links as columns: names, index of the configuration (-1 if it changed), counts, and of each quantity its values."""
        columns = self.columns
        links = columns.links
        table = {
            "source": np.array([count.source for count in links]),
            "target": np.array([count.target for count in links]),
            "configuration": columns.group,
            "packets": columns.packets,
            "received": columns.received,
            "copies": columns.copies,
            "in_flight": columns.in_flight,
            **{name: columns.dropped[:, cause] for cause, name in _DROPS},
        }
        for verdicts in self.by_link:
            for field in ("realised", "configured", "low", "high", "error", "judged"):
                table[f"{verdicts.name}_{field}"] = getattr(verdicts, field)
        return table


def judge_links(
    columns: Columns, *, delays: Mapping[Class, np.ndarray], host: HostTime, kernel_drops: int, family_level: float
) -> LinkReport:
    """Judge all quantities of all links together; each of them at the family's level over their number."""
    sums = [*fate_sums(columns, kernel_drops=kernel_drops), *delay_sums(columns, host=host)]
    grouped = [one.grouped(columns.group, len(columns.configs)) for one in sums]
    by_name = {one.name: one for one in sums}
    rates = judge_rate(columns, host=host)
    found = samples(delays, columns)
    tests = sum(int(one.known.sum()) for one in (*sums, *grouped)) + TESTS * len(found) + 2
    level = family_level / tests
    return LinkReport(
        columns=columns,
        by_link=[*(one.judge(level) for one in sums), rates],
        by_config=[one.judge(level) for one in grouped],
        samples=found,
        by_class=judge_quantiles(found, level=level, host=host),
        loss=loss_of_all(by_name["loss"], level=level),
        delay_s=delay_of_all(by_name["delay"], columns, level=level, host=host),
        delays_known=by_name["delay"].known,
        tests=tests,
        level=level,
    )


def _tell(quantities: list[Verdicts], row: int) -> dict[str, Any]:
    return {verdicts.name: told for verdicts in quantities if (told := verdicts.tell(row))}


def _name_worst(verdicts: Verdicts, name: Any) -> Iterator[str]:
    """Name a few of many wrong rows, the worst first, and count the others."""
    wrong = np.flatnonzero(verdicts.wrong)
    order = wrong[np.argsort(-verdicts.used[wrong], kind="stable")].tolist()
    for row in order[:_NAMED]:
        yield verdicts.sentence(row, of=name(row))
    if len(order) > _NAMED:
        yield f"and {verdicts.name} of {len(order) - _NAMED} more"
