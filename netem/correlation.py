"""Pure: draws with memory: a Gaussian copula that keeps every marginal, and the kernel's filter that does not.

Source: the copula is an autoregression of normals, z' = rho z + sqrt(1 - rho^2) e, so that u = Phi(z) stays uniform. The filter is
`get_crandom` of Linux `sch_netem.c`, x' = (1 - rho) U + rho x: its stationary law is narrower than uniform.
"""

from __future__ import annotations

import math
from itertools import accumulate

import numpy as np

from netem.memory_loss import kernel_quantile

FRESH = math.inf  # the state before the first draw
_NO_WEIGHT = 2.0**-60
_LOW_BITS = 2.0**32  # a uniform has 53 bits: what 32 of them leave serves the filter's start


def normals(uniforms: np.ndarray, rho: float, state: float) -> tuple[np.ndarray, float]:
    """Return standard normals with autocorrelation rho^k, made of as many uniforms, and the state after them."""
    # Imported late: most links have no memory, and scipy costs a tenth of a second.
    from scipy.special import ndtri

    fresh: np.ndarray = ndtri(np.maximum(uniforms, 2.0**-60))
    if rho == 0.0 or not len(fresh):
        return fresh, state
    first = float(fresh[0])
    fresh *= math.sqrt(1.0 - rho * rho)
    # The first of all is drawn as it is: every draw has the stationary law.
    fresh[0] = first if state == FRESH else fresh[0] + rho * state
    # Sums over the last 1, 2, 4, ... draws, until the weight of those further back is lost in rounding.
    back, weight = 1, rho
    while back < len(fresh) and weight > _NO_WEIGHT:
        fresh[back:] += weight * fresh[:-back]
        back, weight = 2 * back, weight * weight
    return fresh, float(fresh[-1])


def filtered(uniforms: np.ndarray, rho: float, state: float) -> tuple[np.ndarray, float]:
    """Return the kernel's filter over uniforms, in [0, 1), and the state after them; it starts in its stationary law (`settled`)."""
    if rho == 0.0 or not len(uniforms):
        return uniforms, state
    steps = ((1.0 - rho) * uniforms).tolist()
    before = settled(float(uniforms[0]), rho) if state == FRESH else state
    steps[0] += rho * before
    kept = list(accumulate(steps, lambda last, step: rho * last + step))
    return np.array(kept), kept[-1]


def settled(uniform: float, rho: float) -> float:
    """Return a value of the kernel's filter in its stationary law, from the low bits of a uniform.

    The kernel starts anywhere, and then forgets: with a long memory its first losses have nothing to do with its rate.
    """
    return kernel_quantile(uniform * _LOW_BITS % 1.0, rho)


def filtered_words(uniforms: np.ndarray, rho: float, state: float) -> tuple[np.ndarray, float]:
    """Return the kernel's filter bit for bit: int64 in [0, 2^32), from the upper 32 bits of each uniform, and the state."""
    words = (uniforms * 2.0**32).astype(np.int64)
    if rho == 0.0 or not len(words):
        return words, state
    weight = round(rho * (2**32 - 1)) + 1
    rest = 2**32 - weight
    before = int(float(uniforms[0]) * _LOW_BITS % 1.0 * 2.0**32) if state == FRESH else int(state)
    kept = list(accumulate(words.tolist(), lambda last, word: (word * rest + last * weight) >> 32, initial=before))[1:]
    return np.array(kept, dtype=np.int64), float(kept[-1])


def hits(
    uniforms: np.ndarray, probability: float, *, rho: float, state: float, kernel: bool
) -> tuple[np.ndarray, float]:
    """Return which draws fall below a probability (bool), and the state after them."""
    if rho == 0.0:
        return uniforms < probability, state
    if kernel:
        values, state = filtered(uniforms, rho, state)
        return values < probability, state
    if not 0.0 < probability < 1.0:
        return uniforms < probability, state
    from scipy.special import ndtri

    values, state = normals(uniforms, rho, state)
    return values < ndtri(probability), state


def where_within(
    uniforms: np.ndarray, hit: np.ndarray, probability: float, *, rho: float, state: float, kernel: bool
) -> np.ndarray:
    """Return for those draws that `hit` (bool) a place, uniform in [0, 1): how far up to the probability each lies.

    The kernel's filter has no such place, for it is not uniform: there the last bits of a uniform say it.
    """
    if rho > 0.0:
        if kernel:
            last: np.ndarray = uniforms[hit] * _LOW_BITS % 1.0
            return last
        from scipy.special import ndtr

        uniforms = ndtr(normals(uniforms, rho, state)[0])
    within: np.ndarray = np.minimum(uniforms[hit] / probability, np.nextafter(1.0, 0.0))
    return within
