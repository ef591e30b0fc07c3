# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Laws of the samplers, on Gaussians whose denoiser is known in closed form."""

import itertools
import math

import pytest
import torch

from dp_ros.diffusion.levels import NoiseLevels, karras_sigmas
from dp_ros.diffusion.samplers import SAMPLERS, sample_ddim, sample_dpmpp_2m, sample_euler, sample_heun

MEAN = torch.tensor([[[0.3, -1.2], [0.8, 0.1], [-0.5, 2.0]]], dtype=torch.float64)
STD = torch.tensor([[[0.4, 1.0], [0.2, 0.7], [1.5, 0.05]]], dtype=torch.float64)


def denoise(x, sigma_BT):
    """E[a | x] for a ~ N(MEAN, STD^2), x = a + sigma noise."""
    variance = sigma_BT[..., None] ** 2
    return (STD**2 * x + variance * MEAN) / (STD**2 + variance)


def exact(x, start, stop):
    """The ODE's solution from sigma = start to stop."""
    return MEAN + (x - MEAN) * ((STD**2 + stop**2) / (STD**2 + start**2)).sqrt()


def noisy(batch=4):
    generator = torch.Generator().manual_seed(0)
    return 5.0 * torch.randn(batch, 3, 2, generator=generator, dtype=torch.float64)


def geometric(steps, top=5.0, bottom=0.5):
    return torch.linspace(math.log(top), math.log(bottom), steps + 1, dtype=torch.float64).exp()


@pytest.mark.parametrize('name', sorted(SAMPLERS))
def test_every_sampler_reaches_the_data(name):
    x = noisy()
    sigmas = torch.cat([geometric(400, bottom=1e-4), torch.zeros(1, dtype=torch.float64)])
    got = SAMPLERS[name](denoise, x, sigmas)
    torch.testing.assert_close(got, exact(x, 5.0, 0.0), atol=0.03, rtol=0.0)


@pytest.mark.parametrize(
    ('sampler', 'order'), [(sample_ddim, 1), (sample_euler, 1), (sample_heun, 2), (sample_dpmpp_2m, 2)]
)
def test_error_shrinks_with_the_samplers_order(sampler, order):
    x = noisy()
    errors = [
        float((sampler(denoise, x, geometric(n)) - exact(x, 5.0, 0.5)).abs().max()) for n in (40, 80, 160)
    ]
    for coarse, fine in itertools.pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.25)


def test_ddim_without_fresh_noise_is_euler():
    x, sigmas = noisy(), NoiseLevels(count=6).table().double()
    torch.testing.assert_close(sample_ddim(denoise, x, sigmas), sample_euler(denoise, x, sigmas))


def test_ddim_with_fresh_noise_keeps_the_distribution():
    generator = torch.Generator().manual_seed(1)
    x = 20.0 * torch.randn(20_000, 3, 2, generator=generator, dtype=torch.float64)
    sigmas = torch.cat([geometric(60, top=20.0, bottom=0.01), torch.zeros(1, dtype=torch.float64)])
    got = sample_ddim(denoise, x, sigmas, eta=1.0, generator=generator)
    torch.testing.assert_close(got.mean(dim=0), MEAN[0], atol=0.05, rtol=0.0)
    torch.testing.assert_close(got.std(dim=0), STD[0], atol=0.02, rtol=0.06)


@pytest.mark.parametrize('name', sorted(SAMPLERS))
def test_per_token_sigmas_sample_each_token_on_its_own(name):
    x = noisy()
    low, high = geometric(20, top=5.0), geometric(20, top=3.0)
    mixed = SAMPLERS[name](denoise, x, torch.stack([low, high, low], dim=1))
    alone_low, alone_high = SAMPLERS[name](denoise, x, low), SAMPLERS[name](denoise, x, high)
    torch.testing.assert_close(mixed[:, [0, 2]], alone_low[:, [0, 2]])
    torch.testing.assert_close(mixed[:, 1], alone_high[:, 1])


@pytest.mark.parametrize('name', sorted(SAMPLERS))
def test_inputs_are_not_changed(name):
    x, sigmas = noisy(), NoiseLevels(count=5).table().double()
    before = x.clone(), sigmas.clone()
    SAMPLERS[name](denoise, x, sigmas)
    assert torch.equal(x, before[0])
    assert torch.equal(sigmas, before[1])


def test_level_table_descends_to_an_exact_zero():
    levels = NoiseLevels(count=8, sigma_min=0.02, sigma_max=5.0)
    table = levels.table()
    assert table[0] == pytest.approx(5.0)
    assert table[-1] == 0.0
    assert table[-2] == pytest.approx(0.02 * 250 ** (1 / 8))
    assert (table.diff() < 0).all()
    karras = karras_sigmas(5, 0.02, 5.0)
    assert karras[0] == pytest.approx(5.0)
    assert karras[-2] == pytest.approx(0.02)
    assert (karras.diff() < 0).all()


def test_illegal_levels_are_refused():
    with pytest.raises(ValueError, match='sigma_min < sigma_max'):
        NoiseLevels(count=3, sigma_min=2.0, sigma_max=1.0)
    with pytest.raises(ValueError, match='at least 1'):
        NoiseLevels(count=3).table(0)
