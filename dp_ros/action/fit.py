# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The closest motion that keeps the limits: a smoothing spline as stiff as they allow, then an exact cut.

Both steps are closed forms. For a stiffness λ the controls c minimise ``Σ (c - reference)² + λ Σ (third difference)²``
(Whittaker, 1923; the third difference is the jerk), continuing the controls that are committed and ending at rest. Each
joint takes the least λ with which all differences keep their bounds: 0, so the reference itself, where that is
possible. What still exceeds a bound is mixed with a motion that is known to keep all of them; bounds of differences
are convex, so the mixture keeps them too, and the largest legal share is a ratio.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# λ up to "rest as gently as the horizon allows", each 2.5 times softer; most chunks need none, or one of the first.
_SOFTNESS = 1e-3 * 2.5 ** np.arange(26)
_BATCHES = (slice(0, 8), slice(8, 17), slice(17, 26))
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
    controls, late = wanted, ~_legal(_rows(known, wanted[:, None]), bounds)[0]
    if not late.any():
        return controls
    system = _system(len(wanted))
    modes = (system.vectors.T @ wanted)[:, None]
    pull = (system.vectors.T @ (system.from_known @ known))[:, None]
    columns = np.arange(wanted.shape[1])
    for batch in _BATCHES:
        spectrum = system.gain[:, batch] * (modes - _SOFTNESS[batch, None] * pull)
        candidates = (system.vectors @ spectrum.reshape(len(wanted), -1)).reshape(spectrum.shape)
        legal = _legal(_rows(known, candidates), bounds)
        found = legal.any(axis=0)
        chosen = np.where(found, legal.argmax(axis=0), len(legal) - 1)
        controls = np.where(late, candidates[:, chosen, columns], controls)
        late = late & ~found
        if not late.any():
            break
    return controls


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
    old, aim = np.concatenate([known, safe]), np.concatenate([known, new])
    for bound in bounds:
        old, aim = old[1:] - old[:-1], aim[1:] - aim[:-1]
        share = np.minimum(share, _share(aim, old, -bound, bound))
    return safe + share * (new - safe)


def _share(aim: Array, safe: Array, lower: Array, upper: Array) -> Array:
    """The largest part (A,), at most 1, of the way from ``safe`` to ``aim`` (K, A) that stays within the bounds."""
    if ((lower <= aim) & (aim <= upper)).all():
        return np.ones(len(lower))
    low, high = np.minimum(lower, safe.min(axis=0)), np.maximum(upper, safe.max(axis=0))
    way = aim - safe
    room = np.where(way > 0, high - safe, safe - low)
    beyond = np.abs(way) > room
    parts = np.where(beyond, room / np.where(beyond, np.abs(way), 1.0), 1.0)
    least: Array = np.clip(parts.min(axis=0, initial=1.0), 0.0, 1.0)
    return least


def _rows(known: Array, candidates: Array) -> Array:
    """(3 + K + 3, C, A) what was committed, then candidates (K, C, A), then the rest at their end."""
    length, *shape = candidates.shape
    rows = np.empty((3 + length + _REST, *shape))
    rows[:3], rows[3:-_REST], rows[-_REST:] = known[:, None], candidates, candidates[-1]
    return rows


def _legal(rows: Array, bounds: tuple[Array, Array, Array]) -> npt.NDArray[np.bool_]:
    """(C, A) whether all differences of rows (R, C, A) keep their bounds."""
    legal = np.ones(rows.shape[1:], bool)
    for order, bound in enumerate(bounds):
        rows = rows[1:] - rows[:-1]
        # Differences among the known rows were committed before: they are not this motion's doing.
        legal &= np.abs(rows[2 - order :]).max(axis=0) / bound <= 1.0 + 1e-9
    return legal


@dataclass(frozen=True, eq=False)
class _System:
    """The smoothing of ``count`` controls, diagonal in the eigenvectors of its penalty.

    Attributes:
        vectors: (K, K).
        gain: (K, S, 1) of each eigenvector, for each softness.
        from_known: (K, 3) how the known controls pull.
    """

    vectors: Array
    gain: Array
    from_known: Array


@lru_cache(maxsize=128)
def _system(count: int) -> _System:
    rows = 3 + count + _REST
    from_new = np.zeros((rows, count))
    from_new[3 : 3 + count] = np.eye(count)
    from_new[3 + count :, -1] = 1.0
    third = np.diff(np.eye(rows), n=3, axis=0)
    penalty = third @ from_new
    values, vectors = np.linalg.eigh(penalty.T @ penalty)
    gain = 1.0 / (1.0 + _SOFTNESS * values[:, None])
    return _System(vectors, gain[:, :, None], penalty.T @ third[:, :3])
