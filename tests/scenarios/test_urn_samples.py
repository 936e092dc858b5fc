"""Bounds on the spread of a few urns: they are passed as seldom as they say, and as wide as that needs, for laws of any shape."""

from __future__ import annotations

import numpy as np
import pytest

from netem.randomness import keyed_generator
from scenarios.solvers.imitation import Urn
from scenarios.solvers.urn_samples import mean_square_bounds


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("samples", [2, 12])
def test_bounds_are_passed_at_most_as_often_as_they_say_and_not_for_ever_wider(alpha, samples):
    law = Urn(alpha=alpha, p=0.9, a=1, b=1).laws([8])[8]
    centre = float(law @ np.arange(9))
    surprise = 0.05
    low, high = mean_square_bounds(law, centre=centre, samples=samples, surprise=surprise)
    draws = keyed_generator(1, "urns", samples).choice(9, size=(20_000, samples), p=law)
    spreads = ((draws - centre) ** 2).mean(axis=1)
    error = 4 * np.sqrt(surprise / 20_000)
    assert (spreads < low).mean() <= surprise + error
    assert (spreads > high).mean() <= surprise + error
    # Chernoff's bounds are sharp but for a factor: what they call a surprise of 5 % is one of 0.1 % at least.
    assert (spreads > high).mean() > 0.001
    assert samples == 2 or (spreads < low).mean() > 0.001  # the mean of two may have no smaller value at all


def test_more_samples_bring_the_bounds_to_the_variance():
    law = Urn(alpha=0.5, p=0.9, a=1, b=1).laws([8])[8]
    centre = float(law @ np.arange(9))
    variance = float(law @ (np.arange(9) - centre) ** 2)
    low, high = mean_square_bounds(law, centre=centre, samples=10**6)
    assert low < variance < high
    assert high - low < 0.02 * variance


def test_a_law_without_spread_allows_none():
    assert mean_square_bounds(np.array([0.0, 1.0, 0.0])[1:2], centre=0.0, samples=3) == (0.0, 0.0)
    low, high = mean_square_bounds(np.array([0.0, 1.0, 0.0]), centre=1.0, samples=3)
    assert low == 0.0
    assert high == pytest.approx(0.0, abs=1e-2)
