# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A plot is well-formed, and its points lie where the numbers say."""

from xml.etree import ElementTree

import numpy as np
import pytest

from dp_ros.evaluation.plots import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Trace, panel, ticks


def parse(svg):
    root = ElementTree.fromstring(svg)
    lines = [
        np.array([p.split(',') for p in line.get('points').split()], float) for line in root.iter('polyline')
    ]
    return root, lines


def test_a_rising_line_runs_from_corner_to_corner():
    x = np.linspace(0, 6, 50)
    _, (line,) = parse(panel('joint', 'rad', [Trace(x, 0.5 * x, 'commanded')], 0.1))
    assert line[0, 0] == LEFT
    assert line[-1, 0] == WIDTH - RIGHT
    middle = (TOP + HEIGHT - BOTTOM) / 2
    assert np.all(np.diff(line[:, 1]) < 0), 'up is a smaller y'
    assert line[:, 1].mean() == pytest.approx(middle, abs=0.1)
    assert line[0, 1] == pytest.approx(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * 0.05 / 1.1, abs=0.1)


def test_a_still_joint_is_a_flat_line_in_the_middle():
    x = np.linspace(0, 1, 5)
    _, (line,) = parse(panel('joint', 'rad', [Trace(x, np.full(5, 0.3), 'measured')], 0.1))
    assert np.ptp(line[:, 1]) == 0
    assert line[0, 1] == pytest.approx((TOP + HEIGHT - BOTTOM) / 2)


def test_gaps_are_left_out_and_names_are_escaped():
    y = np.array([0.0, np.nan, 1.0])
    root, (line,) = parse(panel('a<b>&', 'm', [Trace(np.arange(3.0), y, 'measured')], 0.01))
    assert len(line) == 2
    assert root.get('aria-label') == 'a<b>&'


@pytest.mark.parametrize(('low', 'high'), [(0, 1), (-0.732, 0.801), (0.0181, 0.0591), (-3, 12000)])
def test_ticks_are_round_few_and_inside(low, high):
    values = ticks(low, high, 4)
    assert 2 <= len(values) <= 5
    assert all(low <= v <= high for v in values)
    steps = np.diff(values)
    assert np.allclose(steps, steps[0])
    assert float(f'{steps[0]:.0e}') == pytest.approx(steps[0]), 'one significant digit'
