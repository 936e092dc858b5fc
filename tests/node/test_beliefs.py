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
    with pytest.raises(ConfigError, match="bernoulli, given, heterogeneous, learned"):
        make_beliefs("nonsense")


def test_given_beliefs_are_renormalised_over_the_catalogue_and_never_learn():
    beliefs = make_beliefs("given", [0.5, 0.3, 0.2])
    beliefs.observe(1, b"d" * 16)
    assert beliefs.probabilities(2) == pytest.approx([0.625, 0.375])
    assert beliefs.probabilities(4) == pytest.approx([0.5, 0.3, 0.2, 0.0])


@pytest.mark.parametrize("name", beliefs_names())
def test_a_prior_can_be_replaced_by_another_one(name):
    beliefs = make_beliefs(name, [0.5, 0.3, 0.2])
    beliefs.adopt([0.0, 1.0, 0.0])
    assert beliefs.probabilities(3) == pytest.approx([0.0, 1.0, 0.0])
    with pytest.raises(ConfigError):
        beliefs.adopt([-0.1, 1.1])
    assert beliefs.probabilities(3) == pytest.approx([0.0, 1.0, 0.0])


def test_learned_beliefs_keep_what_they_learned_under_another_prior():
    beliefs = make_beliefs("learned", [1.0, 1.0])
    beliefs.observe(1, b"d" * 16)
    beliefs.adopt([2.0, 1.0])
    assert beliefs.probabilities(2) == pytest.approx([0.5, 0.5])


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


@pytest.mark.parametrize("name", beliefs_names())
def test_beliefs_are_told_by_their_own_randomness_alone(name):
    def believe(key):
        return make_beliefs(name, [0.5, 0.3, 0.2], noise=1.0, chance=keyed_generator(1, key)).probabilities(3).tolist()

    assert believe("one") == believe("one")


def test_heterogeneous_beliefs_are_the_prior_times_log_normal_noise():
    prior, noise, n_servers = np.array([0.7, 0.2, 0.1]), 0.5, 4_000
    servers = [
        make_beliefs("heterogeneous", prior, noise=noise, chance=keyed_generator(1, i)).weights(4)
        for i in range(n_servers)
    ]
    logs = np.log(np.array(servers)[:, :3] / prior)
    assert np.all(np.abs(logs.mean(axis=0)) < 5 * noise / np.sqrt(n_servers))
    assert np.all(np.abs(logs.std(axis=0) / noise - 1) < 5 / np.sqrt(2 * n_servers))
    assert np.all(np.abs(np.corrcoef(logs.T)[np.triu_indices(3, 1)]) < 5 / np.sqrt(n_servers))
    assert all(server[3] == 0.0 for server in servers)
    assert make_beliefs("heterogeneous", prior).probabilities(3) == pytest.approx(prior)


def test_bernoulli_beliefs_are_certain_and_right_on_average():
    prior, n_servers = np.array([0.6, 0.3, 0.1, 0.0]), 4_000
    servers = np.array(
        [make_beliefs("bernoulli", prior, chance=keyed_generator(1, i)).probabilities(4) for i in range(n_servers)]
    )
    assert np.all(servers.max(axis=1) == 1.0)
    assert np.all(np.abs(servers.mean(axis=0) - prior) <= 5 * np.sqrt(prior * (1 - prior) / n_servers))
