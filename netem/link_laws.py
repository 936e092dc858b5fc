"""Pure: the laws of many links' sums, each distinct one worked out once, and which of them say something.

Source: DESIGN section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np

from netem.delay_law import DelayLaw
from netem.link_config import LinkConfig
from netem.link_count import Columns
from netem.loss_chain import LossChain
from netem.sums import Laws
from netem.tails import SLOPES

CHANGED = "the link's configuration changed during the run"
Law = TypeVar("Law", bound=Hashable)


def chains(
    columns: Columns, of: Callable[[LinkConfig], Law], make: Callable[[Law], LossChain], *, quantity: str
) -> list[LossChain]:
    """Return a chain for each configuration, made of one of its laws; equal ones are one object.

    Where the quantity is not judged, the chain has only its rate.
    """
    made: dict[tuple[Law, bool], LossChain] = {}
    chains = []
    for config, reasons in zip(columns.configs, columns.unjudged, strict=True):
        law, judged = of(config), quantity not in reasons
        if (law, judged) not in made:
            chain = make(law)
            made[law, judged] = chain if judged else LossChain.independent(min(chain.rate(), 1.0))
        chains.append(made[law, judged])
    return chains


def identities(chains: Sequence[LossChain]) -> list[Hashable]:
    """Return keys for `by_steps`: equal chains are one object."""
    return [id(chain) for chain in chains]


def shapes(laws: Sequence[DelayLaw]) -> list[Hashable]:
    """Return keys for `by_steps`."""
    return [(id(law.shape), law.correlation) for law in laws]


def by_steps(
    columns: Columns, steps: np.ndarray, keys: Sequence[Hashable], law: Callable[[int, np.ndarray], np.ndarray]
) -> Laws:
    """Return each link's law: law(group, numbers of steps) of its steps; of a link without a group there is none.

    Groups with equal `keys` have equal laws, and law is asked once for them: networks with a delay for each pair of hosts
    have as many configurations as links.
    """
    firsts: dict[Hashable, int] = {}
    first_of = np.array([*(firsts.setdefault(key, group) for group, key in enumerate(keys)), -1], dtype=np.int64)
    asked = first_of[columns.group]
    tables, of, filled = [np.zeros((1, len(SLOPES)))], np.zeros(len(steps), dtype=np.int64), 1
    for group in firsts.values():
        members = np.flatnonzero(asked == group)
        distinct, which = np.unique(steps[members], return_inverse=True)
        tables.append(law(group, distinct))
        of[members] = filled + which
        filled += len(distinct)
    return Laws(np.concatenate(tables), of)


def per_exposure(columns: Columns, chains: Sequence[LossChain]) -> Laws:
    """Return each link's law of what its chain counts, its packets' own configurations added up where they changed."""
    laws = by_steps(columns, columns.packets, identities(chains), lambda group, packets: chains[group].log_mgf(packets))
    changed = np.flatnonzero(columns.group < 0)
    added, place = np.zeros((len(changed), len(SLOPES))), np.zeros(len(columns.links), dtype=np.int64)
    place[changed] = np.arange(len(changed))
    meets = np.flatnonzero(columns.group[columns.exposed_link] < 0)
    for index in np.unique(columns.exposed_config[meets]):
        exposures = meets[columns.exposed_config[meets] == index]
        rows = chains[index].log_mgf(columns.exposed_packets[exposures])
        np.add.at(added, place[columns.exposed_link[exposures]], rows)
    laws.of[changed] = len(laws.log_mgf) + np.arange(len(changed))
    return Laws(np.concatenate((laws.log_mgf, added)), laws.of)


def mean_rate(columns: Columns, chains: Sequence[LossChain]) -> np.ndarray:
    """Return the mean of what each link's packets were exposed to."""
    rates = np.array([chain.rate() for chain in chains], dtype=np.float64)
    total = np.zeros(len(columns.links))
    np.add.at(total, columns.exposed_link, rates[columns.exposed_config] * columns.exposed_packets)
    mean: np.ndarray = total / np.maximum(columns.packets, 1)
    return mean


def by_group(columns: Columns, values: Sequence[float]) -> np.ndarray:
    """Return what each link has of `values`, one for each configuration; NaN for a link without a group."""
    spread: np.ndarray = np.array([*values, np.nan])[columns.group]
    return spread


def predictable(columns: Columns, quantity: str, *, changing: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return which links' laws say something of a quantity, and why not the others'; `changing` if each packet's own law will do."""
    reasons = [*(reasons.get(quantity) for reasons in columns.unjudged), None if changing else CHANGED]
    why = np.array(reasons, dtype=object)[columns.group]
    known = np.array([reason is None for reason in reasons], dtype=bool)
    unknown = ~known[columns.exposed_config] if changing else np.zeros(0, dtype=bool)
    for exposure in np.flatnonzero(unknown):
        why[columns.exposed_link[exposure]] = reasons[columns.exposed_config[exposure]]
    known = known[columns.group]
    known[columns.exposed_link[np.flatnonzero(unknown)]] = False
    return known, why
