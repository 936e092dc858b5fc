import numpy as np
import pytest

from netem.errors import ConfigError
from netem.randomness import keyed_generator
from node.beliefs import beliefs_names, make_beliefs


@pytest.mark.parametrize("name", beliefs_names())
@pytest.mark.parametrize("prior", [(), (0.5, 0.25, 0.25), (0.0, 0.0)])
@pytest.mark.parametrize("n_files", [0, 1, 2, 7])
def test_beliefs_are_probabilities_over_the_catalogue(name, prior, n_files):
    beliefs = make_beliefs(name, prior)
    beliefs.observe(3, b"d" * 16)
    p = beliefs.probabilities(n_files)
    assert p.shape == (n_files,)
    assert np.all(p >= 0.0)
    assert p.sum() == pytest.approx(1.0 if n_files else 0.0)


@pytest.mark.parametrize("name", beliefs_names())
@pytest.mark.parametrize("prior", [(-0.1, 1.1), (float("nan"),), (float("inf"), 1.0)])
def test_a_prior_that_is_none_is_refused(name, prior):
    with pytest.raises(ConfigError):
        make_beliefs(name, prior)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ConfigError, match="given, learned"):
        make_beliefs("nonsense")


def test_given_beliefs_are_renormalised_over_the_catalogue_and_never_learn():
    beliefs = make_beliefs("given", [0.5, 0.3, 0.2])
    beliefs.observe(1, b"d" * 16)
    assert beliefs.probabilities(2) == pytest.approx([0.625, 0.375])
    assert beliefs.probabilities(4) == pytest.approx([0.5, 0.3, 0.2, 0.0])


def test_learned_beliefs_count_distinct_downloads_only():
    beliefs = make_beliefs("learned")
    for download in (b"a" * 16, b"a" * 16, b"b" * 16):
        beliefs.observe(1, download)
    assert beliefs.probabilities(2) == pytest.approx([0.25, 0.75])


def test_learned_beliefs_approach_the_truth():
    truth = np.array([0.6, 0.3, 0.1])
    beliefs = make_beliefs("learned")
    n_requests = 4_000
    for i, file in enumerate(keyed_generator(1, "requests").choice(3, n_requests, p=truth)):
        beliefs.observe(int(file), i.to_bytes(16, "big"))
    error = np.abs(beliefs.probabilities(3) - truth)
    assert np.all(error < 4 * np.sqrt(truth * (1 - truth) / n_requests) + 3 / n_requests)
