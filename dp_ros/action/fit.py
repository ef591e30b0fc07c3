# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The closest motion that keeps the limits: a smoothing spline as stiff as they allow, then an exact cut.

Both steps are closed forms. For a stiffness λ the controls c minimise ``Σ (c - reference)² + λ Σ (third difference)²``
(Whittaker, 1923; the third difference is the jerk), continuing the controls that are committed and ending at rest. Each
joint takes the least λ with which all differences keep their bounds: 0, so the reference itself, where that is
possible. What still exceeds a bound is mixed with a motion that is known to keep all of them; bounds of differences
are convex, so the mixture keeps them too, and the largest legal share is a ratio.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# λ from "the reference" to "rest as gently as the horizon allows", each 2.5 times softer.
_SOFTNESS = np.concatenate([[0.0], 1e-3 * 2.5 ** np.arange(26)])
# Rows after the last control, which stand still: the third difference looks three rows back.
_REST = 3


def fit(known: Array, wanted: Array, bounds: tuple[Array, Array, Array]) -> Array:
    """Controls (K, A) that follow ``wanted`` (K, A) after ``known`` (3, A), as closely as the bounds allow.

    Args:
        known: the last three committed controls.
        wanted: the reference on the same grid.
        bounds: (A,) of the absolute first, second and third differences, those at the start and at the final rest
            included.

    Returns:
        The controls. Where no stiffness keeps the bounds they are the softest ones, and exceed them.
    """
    vectors, values, from_known = _system(len(wanted))
    modes = vectors.T @ wanted
    pull = vectors.T @ (from_known @ known)
    gain = 1.0 / (1.0 + _SOFTNESS[:, None] * values)
    spectrum = gain[:, :, None] * (modes - _SOFTNESS[:, None, None] * pull)
    candidates = np.concatenate([wanted[None], vectors @ spectrum[1:]])
    excess = _excess(known, candidates, bounds)
    legal = excess <= 1.0 + 1e-9
    chosen = np.where(legal.any(axis=0), legal.argmax(axis=0), len(_SOFTNESS) - 1)
    return np.take_along_axis(candidates, chosen[None, None, :], axis=0)[0]


def mixed(
    known: Array,
    new: Array,
    safe: Array,
    bounds: tuple[Array, Array, Array],
    lower: Array,
    upper: Array,
) -> Array:
    """The controls between ``safe`` and ``new`` (both (K, A)) that are nearest to ``new`` and keep all bounds.

    Each joint takes its own share. A bound that ``safe`` itself exceeds, because the limits changed or the arm was
    found outside of its range, is widened to what ``safe`` does: from there it may only get better.
    """
    share = _share(new, safe, lower, upper)
    rest = np.zeros((_REST, new.shape[1]))
    old, aim = np.concatenate([known, safe]), np.concatenate([known, new])
    for bound in bounds:
        old, aim = np.diff(old, axis=0), np.diff(aim, axis=0)
        # The still rows after the end: the third difference sees them too.
        share = np.minimum(
            share, _share(np.concatenate([aim, rest]), np.concatenate([old, rest]), -bound, bound)
        )
    return safe + share * (new - safe)


def _share(aim: Array, safe: Array, lower: Array, upper: Array) -> Array:
    """The largest part (A,), at most 1, of the way from ``safe`` to ``aim`` (K, A) that stays within the bounds."""
    low, high = np.minimum(lower, safe.min(axis=0)), np.maximum(upper, safe.max(axis=0))
    way = aim - safe
    room = np.where(way > 0, high - safe, safe - low)
    beyond = np.abs(way) > room
    parts = np.where(beyond, room / np.where(beyond, np.abs(way), 1.0), 1.0)
    least: Array = np.clip(parts.min(axis=0, initial=1.0), 0.0, 1.0)
    return least


def _excess(known: Array, candidates: Array, bounds: tuple[Array, Array, Array]) -> Array:
    """(C, A) the largest difference over its bound of candidates (C, K, A)."""
    count = len(candidates)
    rows = np.concatenate(
        [
            np.broadcast_to(known, (count, *known.shape)),
            candidates,
            np.repeat(candidates[:, -1:], _REST, axis=1),
        ],
        axis=1,
    )
    worst = np.zeros((count, known.shape[1]))
    for order, bound in enumerate(bounds):
        rows = np.diff(rows, axis=1)
        # Differences among the known rows were committed before: they are not this motion's doing.
        worst = np.maximum(worst, np.abs(rows[:, 2 - order :]).max(axis=1) / bound)
    return worst


@lru_cache(maxsize=128)
def _system(count: int) -> tuple[Array, Array, Array]:
    """Eigenvectors and eigenvalues of the penalty of ``count`` controls, and how the known three pull on it."""
    rows = 3 + count + _REST
    from_new = np.zeros((rows, count))
    from_new[3 : 3 + count] = np.eye(count)
    from_new[3 + count :, -1] = 1.0
    third = np.diff(np.eye(rows), n=3, axis=0)
    penalty = third @ from_new
    values, vectors = np.linalg.eigh(penalty.T @ penalty)
    return vectors, values, penalty.T @ third[:, :3]
