"""Pure: what correlated losses look like: the rate the kernel's filter really has, and chains that predict their counts.

A draw with memory is no chain of few states. It is cut into cells; the cells' chain has the exact rate, and memory raised until the
variance of a long count is that of the draws.

Source: `get_crandom` of Linux `sch_netem.c`; the bivariate normal law for the copula.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from netem.loss_chain import LossChain

BURSTS_OF_MEMORY = "no chain of a few states has the bursts of correlated draws"
_CELLS = 9  # of a chain for losses
_FINE = 24  # points in each cell
_ALMOST_NORMAL = 0.9  # beyond it, nobody sees in the first packets of a link that a sum of uniforms is not quite normal
_LONG_MEMORY = 0.98  # beyond it, each step of `kernel_law` forgets so little that it takes seconds
# Values cross a threshold as often as their steps are long: uniform ones are longer, on average, than normal ones of their variance.
_UNIFORM_STEPS = math.sqrt(3.0 * math.pi / 8.0)
_RAREST = 1e-9  # rarer losses (or survivors) are as good as independent: a run sees none or one
_GRID = np.concatenate(([0.0], np.geomspace(1e-7, 0.05, 1200), np.linspace(0.05, 1.0, 3000)[1:]))


@functools.lru_cache(maxsize=256)
def kernel_law(rho: float) -> np.ndarray:
    """Return P(x <= g) for g on `grid()` (float64), x the stationary value of the kernel's filter."""
    law = _GRID.copy()
    below, above = np.maximum((_GRID - (1.0 - rho)) / rho, 0.0), np.minimum(_GRID / rho, 1.0)
    beyond = np.maximum(_GRID / rho - 1.0, 0.0)
    # P(x <= g) is the mean of P(x <= v) over the v = (g - (1 - rho) u) / rho; each step forgets the start by rho.
    for _ in range(math.ceil(math.log(1e-15) / math.log(rho)) + 1):
        area = np.concatenate(([0.0], np.cumsum(np.diff(_GRID) * (law[1:] + law[:-1]) / 2.0)))
        window = np.interp(above, _GRID, area) - np.interp(below, _GRID, area) + beyond
        law = np.clip(window * rho / (1.0 - rho), 0.0, 1.0)
        law[_GRID >= 1.0] = 1.0
    return law


def grid() -> np.ndarray:
    """Return the points at which `kernel_law` is known."""
    return _GRID


def kernel_rate(probability: float, rho: float) -> float:
    """Return how often the kernel's filter really falls below a probability."""
    if rho == 0.0 or probability in {0.0, 1.0}:
        return probability
    if rho > _LONG_MEMORY:
        return _long_memory_rate(probability, rho)
    law, place = kernel_law(rho), int(np.searchsorted(_GRID, probability))
    if not law[place - 1] > 0.0:
        return float(law[place] * (probability / _GRID[place]))
    # Between grid points its logarithm is straight to a few millionths.
    near = slice(place - 1, place + 1)
    return math.exp(float(np.interp(math.log(probability), np.log(_GRID[near]), np.log(law[near]))))


def kernel_quantile(share: float, rho: float) -> float:
    """Return the value that the kernel's filter stays below for such a share of time."""
    if rho > _ALMOST_NORMAL:
        from scipy.special import ndtri

        normal = float(ndtri(max(share, 2.0**-60)))
        return min(max(0.5 + normal * _deviation(rho), 0.0), 1.0)
    return float(np.interp(share, kernel_law(rho), _GRID))


def _long_memory_rate(probability: float, rho: float) -> float:
    """Return the same for a sum of very many uniforms: it is normal, but for its fourth moment (Edgeworth)."""
    from scipy.special import ndtr

    z = _normal_place(probability, rho)
    excess = -1.2 * (1.0 - rho * rho) / (1.0 + rho * rho)
    bend = excess / 24.0 * (z**3 - 3.0 * z) * math.exp(-z * z / 2.0) / math.sqrt(2.0 * math.pi)
    return min(max(float(ndtr(z)) - bend, 0.0), 1.0)


def _normal_place(probability: float, rho: float) -> float:
    """Return how many deviations of the filter's value a probability lies from its mean."""
    return (probability - 0.5) / _deviation(rho)


def _deviation(rho: float) -> float:
    return math.sqrt((1.0 - rho) / (1.0 + rho) / 12.0)


@functools.lru_cache(maxsize=256)
def correlated_chain(probability: float, rho: float, *, kernel: bool) -> LossChain:
    """Return the chain of losses whose draws have memory `rho` (0 to below 1)."""
    rate = kernel_rate(probability, rho) if kernel else probability
    if rho == 0.0 or not _RAREST < rate < 1.0 - _RAREST:
        return LossChain.independent(rate)
    if kernel and rho <= _LONG_MEMORY:
        return _kernel_chain(probability, rate, rho)
    return _gaussian_chain(rate, rho)


def _gaussian_chain(probability: float, rho: float) -> LossChain:
    wanted = _pair_surplus(probability, rho)
    low, high = rho, 1.0 - (1.0 - rho) / 64.0
    for _ in range(24):  # the lumped chain forgets too fast: raise its memory until long counts vary as they should
        middle = (low + high) / 2.0
        chain = _lumped_gaussian(probability, middle)
        if chain.variance(1) - probability * (1.0 - probability) < wanted:
            low = middle
        else:
            high = middle
    return _lumped_gaussian(probability, high)


def pair_rate(probability: float, rho: float) -> float:
    """Return how often a packet and the next are both lost by honest draws with memory `rho`."""
    from scipy.special import ndtri

    return probability - _parted(float(ndtri(probability)), rho)


def _parted(threshold: float, rho: float) -> float:
    """Return how often only the first of two normals with correlation `rho` lies below a threshold (Owen 1956)."""
    from scipy.special import owens_t

    return 2.0 * float(owens_t(threshold, math.sqrt((1.0 - rho) / (1.0 + rho))))


def kernel_pair_rate(probability: float, rho: float) -> float:
    """Return how often the kernel's filter falls below a probability twice in a row."""
    if rho > _LONG_MEMORY:
        parted = _UNIFORM_STEPS * _parted(_normal_place(probability, rho), rho)
        return max(kernel_rate(probability, rho) - parted, 0.0)
    below = np.append(_GRID[probability > _GRID], probability)
    law = np.append(kernel_law(rho)[probability > _GRID], kernel_rate(probability, rho))
    again = np.clip((probability - rho * below) / (1.0 - rho), 0.0, 1.0)
    return float(np.sum(np.diff(law) * (again[1:] + again[:-1]) / 2.0))


def _pair_surplus(probability: float, rho: float) -> float:
    """Return twice the sum over all lags of the covariance of two losses."""
    orders, terms = _mehler(probability)
    return float(2.0 * np.sum(terms * rho**orders / (1.0 - rho**orders)))


def _mehler(probability: float) -> tuple[np.ndarray, np.ndarray]:
    """Return n and c_n: two draws with correlation r are both lost with a covariance of sum c_n r^n (Mehler)."""
    from scipy.special import eval_hermitenorm, gammaln, ndtri

    threshold = float(ndtri(probability))
    orders = np.arange(1, 120)
    density2 = math.exp(-(threshold**2)) / (2.0 * math.pi)
    return orders, density2 * eval_hermitenorm(orders - 1, threshold) ** 2 * np.exp(-gammaln(orders + 1))


def _cells(rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Return edges of the cells in [0, 1], the first cells being losses, and which cells are."""
    lost = _CELLS // 3
    edges = np.concatenate(
        (np.linspace(0.0, rate, lost + 1), rate + (1.0 - rate) * np.linspace(0.0, 1.0, _CELLS - lost + 1)[1:])
    )
    return edges, np.arange(_CELLS) < lost


def _lumped_gaussian(probability: float, rho: float) -> LossChain:
    from scipy.special import ndtr, ndtri

    edges, lost = _cells(probability)
    offsets = (np.arange(_FINE) + 0.5) / _FINE
    points = ndtri(edges[:-1, None] + np.diff(edges)[:, None] * offsets)  # (cells, fine): equally likely within a cell
    reach = (ndtri(edges) - rho * points[:, :, None]) / math.sqrt(1.0 - rho * rho)
    return _chain(np.diff(ndtr(reach), axis=2).mean(axis=1), np.diff(edges), lost)


def _kernel_chain(probability: float, rate: float, rho: float) -> LossChain:
    law = kernel_law(rho)
    shares, lost = _cells(rate)
    places = np.interp(shares, law, _GRID)
    places[0], places[_CELLS // 3], places[-1] = 0.0, probability, 1.0
    offsets = (np.arange(_FINE) + 0.5) / _FINE
    points = np.interp(shares[:-1, None] + np.diff(shares)[:, None] * offsets, law, _GRID)
    reach = np.clip((places - rho * points[:, :, None]) / (1.0 - rho), 0.0, 1.0)
    return _chain(np.diff(reach, axis=2).mean(axis=1), np.diff(shares), lost)


def _chain(transition: np.ndarray, shares: np.ndarray, lost: np.ndarray) -> LossChain:
    """Return the lumped chain; rounding is put right so that its stationary law is the cells' shares."""
    flow = shares[:, None] * transition
    for _ in range(200):  # Sinkhorn: rows and columns of the flow both add up to the shares
        flow *= (shares / flow.sum(axis=0))[None, :]
        flow *= (shares / flow.sum(axis=1))[:, None]
    rate = np.full(len(shares), float(shares @ lost))
    return LossChain(flow / shares[:, None], lost.astype(float), shares, initial=shares, copies=rate)
