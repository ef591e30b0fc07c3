# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Laws of streaming."""

import pytest
import torch

from dp_ros.diffusion.densities import LevelDensity
from dp_ros.diffusion.levels import NoiseLevels
from dp_ros.diffusion.rolling_buffer import RollingBuffer, advance
from dp_ros.diffusion.samplers import sample_ddim

LEVELS = NoiseLevels(count=4, sigma_min=0.02, sigma_max=5.0)


def denoise(x, sigma_BT):
    """Closed form, token-wise: data ~ N(0.5, 0.7^2)."""
    variance = sigma_BT[..., None] ** 2
    return (0.49 * x + variance * 0.5) / (0.49 + variance)


def start(tokens=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return RollingBuffer.from_clean(torch.zeros(2, tokens, 3), LEVELS, generator)


@pytest.mark.parametrize('evaluations', [1, 2, 3])
def test_each_leaving_token_equals_that_token_through_the_offline_sampler(evaluations):
    generator = torch.Generator().manual_seed(7)
    buffer = start()
    pop, out, entered = buffer.pop, [], []
    for _ in range(3 * LEVELS.count):
        clean, buffer = advance(buffer, denoise, generator, evaluations)
        out.append(clean[:, :pop])
        entered.append(buffer.x_BTP[:, -pop:])
    table = LEVELS.table(LEVELS.count * evaluations)
    for tick, noise in enumerate(entered[: -LEVELS.count]):
        offline = sample_ddim(denoise, noise, table)
        torch.testing.assert_close(out[tick + LEVELS.count], offline, atol=1e-5, rtol=1e-5)


def test_advance_is_pure():
    buffer = start()
    before = buffer.x_BTP.clone()
    a = advance(buffer, denoise, torch.Generator().manual_seed(3))
    b = advance(buffer, denoise, torch.Generator().manual_seed(3))
    assert torch.equal(buffer.x_BTP, before)
    assert torch.equal(a[0], b[0])
    assert torch.equal(a[1].x_BTP, b[1].x_BTP)


def test_resting_levels_rise_group_by_group():
    assert start(tokens=8).level_BT[0].tolist() == [1, 1, 2, 2, 3, 3, 4, 4]


def test_every_sigma_that_a_tick_evaluates_lies_in_the_trained_staircase():
    seen = []

    def spy(x, sigma_BT):
        seen.append(sigma_BT[0])
        return denoise(x, sigma_BT)

    advance(start(), spy, torch.Generator(), evaluations=3)
    assert len(seen) == 3
    for k, sigma_T in enumerate(seen):
        expected = LEVELS.sigma(torch.tensor([1, 1, 2, 2, 3, 3, 4, 4]) - k / 3)
        torch.testing.assert_close(sigma_T, expected)


def test_level_density_shapes():
    generator = torch.Generator().manual_seed(0)
    stairs = LevelDensity(buffer_share=1.0).levels(500, 8, LEVELS, generator)
    offset = stairs - torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    assert torch.allclose(offset, offset[:, :1].expand_as(offset), atol=1e-6)
    assert offset.min() > 0
    assert offset.max() <= 1
    shared = LevelDensity(buffer_share=0.0).levels(500, 8, LEVELS, generator)
    assert torch.equal(shared, shared[:, :1].expand_as(shared))
    assert shared.min() > 0
    assert shared.max() <= LEVELS.count
    assert shared.mean() == pytest.approx(LEVELS.count / 2, abs=0.2)
    mixed = LevelDensity(buffer_share=0.3).levels(4000, 8, LEVELS, generator)
    share = (mixed[:, 0] != mixed[:, -1]).float().mean()
    assert share == pytest.approx(0.3, abs=0.03)


def test_independent_levels_take_their_share_and_leave_the_other_shapes_alone():
    def draw(**shares):
        return LevelDensity(**shares).levels(4000, 8, LEVELS, torch.Generator().manual_seed(5))

    plain, mixed = draw(buffer_share=0.3), draw(buffer_share=0.3, independent_share=0.4)
    same = (plain == mixed).all(dim=1)
    assert same.float().mean() == pytest.approx(0.6, abs=0.03)
    own = mixed[~same]
    assert own.min() > 0
    assert own.max() <= LEVELS.count
    assert own.mean() == pytest.approx(LEVELS.count / 2, abs=0.1)
    correlation = torch.corrcoef(own.t()) - torch.eye(8)
    assert correlation.abs().max() < 0.1
    assert draw(buffer_share=0.0, independent_share=1.0).unique(dim=1).shape[1] == 8


def test_illegal_buffers_are_refused():
    with pytest.raises(ValueError, match='multiple of 4 levels'):
        RollingBuffer(torch.zeros(1, 7, 3), LEVELS)
    with pytest.raises(ValueError, match='at least 1'):
        advance(start(), denoise, torch.Generator(), evaluations=0)
    for shares in ((1.5, 0.0), (-0.1, 0.0), (0.7, 0.4)):
        with pytest.raises(ValueError, match='buffer_share'):
            LevelDensity(buffer_share=shares[0], independent_share=shares[1])
