"""Pure: how the splits of servers move from board to board, in many independent plays at once.

Every board shows π_j = Σ_i B_i f_ij / Σ_i B_i of the splits declared; whoever hears it, and has its turn, decides anew against it and
says so before the next board. What makes this a game of its own is time: a server corrects the odds for its own bid by the split in
force, though the board may not show that yet, and all who move on one board see nothing of each other.

Source: huberman-wu, eq. (5) and (6); protocol notes 4.1 (dynamics); DESIGN section 4 (boards and heartbeats).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netem.clock import S
from node.best_response import regrets, replies
from node.bidding import HEARTBEAT_NS
from node.policies.base import ODDS_FLOOR
from node.turns import Turns
from scenarios.market.theory import total_variation


@dataclass(frozen=True, slots=True)
class Rule:
    """How servers decide, and what the network does to what they hear and say.

    Attributes:
        turns: when they decide anew, and how far they go.
        anticipates: whether they answer with the best response, or put everything on the largest p_ij/π_j.
        loss: probability that a board, or a declared split, is lost.
        late: probability that a server's heartbeats are so timed that a split decided on a board misses the next one.
    """

    turns: Turns
    anticipates: bool
    loss: float
    late: float


@dataclass(frozen=True, slots=True)
class Plays:
    """What happened: odds, float64 (boards, plays, files), and the declared splits, (boards, plays, servers, files)."""

    odds: np.ndarray
    splits: np.ndarray


def movement(odds: np.ndarray) -> np.ndarray:
    """Return the mean total variation from one board's odds to the next one's: float64 (boards, ..., files) to (...)."""
    return np.asarray(np.abs(np.diff(odds, axis=0)).sum(axis=-1).mean(axis=0) / 2)


def late_share(mean_delay_s: float) -> float:
    """Return the probability that a node's heartbeats come at such a moment that a split decided on a board misses the next.

    They come once a second at a moment of the node's own, any alike: too early if the board is still under way to the node, too late
    if the next one is posted while the heartbeat is.
    """
    return min(1.0, 2 * mean_delay_s / (HEARTBEAT_NS / S))


def board_odds(budgets: np.ndarray, declared: np.ndarray) -> np.ndarray:
    """Return π_j = Σ_i B_i f_ij, float64 (plays, files), of budgets that sum to 1, (servers,), and splits (plays, servers, files)."""
    return np.asarray(np.einsum("i,pij->pj", budgets, declared))


def next_declared(
    declared: np.ndarray, *, before: np.ndarray, decided: np.ndarray, late: np.ndarray, told: np.ndarray
) -> np.ndarray:
    """Return the splits that the next board shows, float64 (plays, servers, files).

    Args:
        declared: those that this board showed.
        before: those in force when it came.
        decided: those in force since, decided on it.
        late: whose heartbeats come too early or too late to say what was decided, bool (plays, servers, 1).
        told: whose heartbeat comes through; as `late`.
    """
    return np.where(told, np.where(late, before, decided), declared)


def play(
    rule: Rule, beliefs: np.ndarray, *, rates: np.ndarray, start: np.ndarray, plays: int, chance: np.random.Generator
) -> Plays:
    """Play the dynamics as often as asked, each with its own chance.

    Args:
        rule: see `Rule`.
        beliefs: p_ij >= 0, float64 (servers, files), each row with a positive entry.
        rates: B_i > 0 by board, float64 (boards, servers).
        start: the splits at the first board, float64 (servers, files), each row summing to 1.
        plays: how many, >= 1.
        chance: draws losses and turns.
    """
    boards, servers = rates.shape
    shape = (plays, servers, 1)
    current = np.broadcast_to(start, (plays, *start.shape)).copy()
    declared = current
    late = chance.random(shape) < rule.late
    odds, splits = [], []
    for board in range(boards):
        budgets = rates[board] / rates[board].sum()
        shown = board_odds(budgets, declared).astype(np.float32).astype(np.float64)  # as boards are sent
        odds.append(shown)
        splits.append(declared)
        moves = (chance.random(shape) >= rule.loss) & (chance.random(shape) < rule.turns.probability)
        wish = _wish(rule, beliefs, shown=shown, budgets=budgets, own=current)
        before = current
        current = np.where(moves, before + rule.turns.step * (wish - before), before)
        told = chance.random(shape) >= rule.loss
        declared = next_declared(declared, before=before, decided=current, late=late, told=told)
    return Plays(np.array(odds), np.array(splits))


def _wish(rule: Rule, beliefs: np.ndarray, *, shown: np.ndarray, budgets: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return the split that each server would choose, float64 (plays, servers, files)."""
    odds = np.maximum(shown, ODDS_FLOOR)[:, None, :]
    if not rule.anticipates:
        return np.asarray(np.eye(beliefs.shape[1])[np.argmax(beliefs / odds, axis=2)])
    against = np.maximum(odds - budgets[:, None] * own, ODDS_FLOOR)
    files = beliefs.shape[1]
    every = np.broadcast_to(beliefs, own.shape).reshape(-1, files)
    bids = replies(every, against.reshape(-1, files), np.tile(budgets, len(own)))
    return np.asarray(bids.reshape(own.shape) / budgets[:, None])


def split_distance(splits: np.ndarray, others: np.ndarray) -> float:
    """Return the mean over servers of the total variation between two sets of splits, float64 (servers, files), in [0, 1]."""
    return float(np.mean([total_variation(one, other) for one, other in zip(splits, others, strict=True)]))


def largest_gap(beliefs: np.ndarray, splits: np.ndarray, rates: np.ndarray) -> float:
    """Return the largest best-response gap among servers with splits f_ij (servers, files) and rates B_i (servers,)."""
    return float(regrets(beliefs, splits * rates[:, None], rates).max())
