# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The closest legal motion: the reference where it is legal, within all bounds where it is not."""

import numpy as np
import pytest

from dp_ros.action.fit import fit, mixed

REST = np.zeros((3, 1))


def worst(known, controls, bounds):
    rows = np.concatenate([known, controls, np.repeat(controls[-1:], 3, axis=0)])
    return max(np.abs(np.diff(rows, n=k, axis=0)[3 - k :] / b).max() for k, b in enumerate(bounds, 1))


def test_a_legal_reference_is_taken_as_it_is():
    wanted = 0.1 * np.sin(np.linspace(0, 3, 40))[:, None] ** 3
    wanted[-8:] = wanted[-8]
    bounds = (np.ones(1), np.full(1, 0.1), np.full(1, 0.2))
    np.testing.assert_array_equal(fit(REST, wanted, bounds), wanted)


@pytest.mark.parametrize('second', [0.02, 0.005, 0.001])
def test_a_step_becomes_the_steepest_legal_transition(second):
    wanted = np.full((96, 1), 0.05)
    bounds = (np.full(1, 1.0), np.full(1, second), np.full(1, 2 * second))
    controls = fit(REST, wanted, bounds)
    assert worst(REST, controls, bounds) <= 1.0 + 1e-9
    assert abs(controls[-1, 0] - 0.05) < 2e-3
    # Tighter bounds make it slower, never illegal; ten times the least time is not "as closely as they allow".
    reached = int(np.argmax(controls[:, 0] > 0.045))
    assert reached < 5 * 2 * np.sqrt(0.05 / second)


def test_each_joint_takes_its_own_stiffness():
    rng = np.random.default_rng(0)
    calm = 0.01 * np.sin(np.linspace(0, 3, 40))
    wanted = np.stack([calm, rng.normal(scale=0.1, size=40)], axis=1)
    wanted[-8:] = wanted[-8]
    bounds = (np.ones(2), np.full(2, 0.01), np.full(2, 0.02))
    controls = fit(np.zeros((3, 2)), wanted, bounds)
    np.testing.assert_array_equal(controls[:, 0], wanted[:, 0])
    assert worst(np.zeros((3, 2)), controls, bounds) <= 1.0 + 1e-9


def test_the_controls_minimise_their_sum_of_squares_at_the_least_legal_stiffness():
    rng = np.random.default_rng(2)
    count, width = 24, 80
    bounds = (np.full(width, 0.5), np.full(width, 0.05), np.full(width, 0.08))
    known = np.cumsum(np.full((3, width), 0.01), axis=0)
    noise = rng.normal(size=(count, width)) * np.logspace(-3, 1.5, width)
    wanted = 0.1 * np.sin(np.linspace(0, 2, count))[:, None] + noise
    third = np.diff(np.eye(count + 6), n=3, axis=0)
    # Columns of what was committed, and of the controls, the last of which stays.
    before, after = third[:, :3], np.column_stack([third[:, 3:-4], third[:, -4:].sum(axis=1)])
    expected, illegal = wanted.copy(), list(range(width))
    for stiffness in [0.0, *1e-3 * 2.5 ** np.arange(26)]:
        system = np.eye(count) + stiffness * after.T @ after
        expected[:, illegal] = np.linalg.solve(system, wanted - stiffness * after.T @ before @ known)[
            :, illegal
        ]
        illegal = [
            i
            for i in illegal
            if worst(known[:, [i]], expected[:, [i]], [b[[i]] for b in bounds]) > 1.0 + 1e-9
        ]
    np.testing.assert_allclose(fit(known, wanted, bounds), expected, rtol=1e-7, atol=1e-9)


def test_mixing_keeps_every_bound_exactly_and_wastes_nothing():
    rng = np.random.default_rng(1)
    bounds = (np.full(3, 0.05), np.full(3, 0.01), np.full(3, 0.02))
    lower, upper = np.full(3, -0.2), np.full(3, 0.1)
    for _ in range(100):
        safe = np.zeros((40, 3))
        new = np.cumsum(np.cumsum(rng.normal(scale=0.01, size=(40, 3)), axis=0), axis=0)
        new[-6:] = new[-6]
        known = np.zeros((3, 3))
        out = mixed(known, new, safe, bounds, lower, upper)
        ratio = [worst(known[:, [i]], out[:, [i]], [b[[i]] for b in bounds]) for i in range(3)]
        assert max(ratio) <= 1.0 + 1e-9
        assert np.all((out >= lower - 1e-12) & (out <= upper + 1e-12))
        # Each joint is at one of its bounds, or where it wanted to be.
        at_wall = np.isclose(out.max(axis=0), upper) | np.isclose(out.min(axis=0), lower)
        free = np.all(np.isclose(out, new), axis=0)
        assert np.all(at_wall | free | np.isclose(ratio, 1.0))


def test_what_is_outside_already_may_only_get_better():
    safe = np.full((20, 1), 0.3)
    new = np.linspace(0.3, 0.0, 20)[:, None]
    bounds = (np.ones(1), np.ones(1), np.ones(1))
    np.testing.assert_array_equal(mixed(safe[:3], new, safe, bounds, np.full(1, -0.1), np.full(1, 0.1)), new)
    further = mixed(safe[:3], 2 * safe, safe, bounds, np.full(1, -0.1), np.full(1, 0.1))
    np.testing.assert_array_equal(further, safe)
