# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Laws of the preconditioning and its loss."""

import torch

from dp_ros.diffusion.denoiser import Denoiser, per_token


def test_scales_keep_unit_variance():
    sigma = torch.tensor([[0.02, 0.5, 5.0]])
    c_skip, c_out, c_in = Denoiser(1.0).scales(sigma)
    # Network input, and target (a - c_skip x) / c_out, have variance 1 for data of variance 1 (EDM, appendix B.6).
    variance_x = 1.0 + sigma[..., None] ** 2
    torch.testing.assert_close(c_in**2 * variance_x, torch.ones(1, 3, 1))
    target = ((1 - c_skip) ** 2 + c_skip**2 * sigma[..., None] ** 2) / c_out**2
    torch.testing.assert_close(target, torch.ones(1, 3, 1))


def test_perfect_network_has_no_loss_and_denoises_exactly():
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(3, 4, 2, generator=generator), torch.randn(3, 4, 2, generator=generator)
    sigma = torch.rand(3, 4, generator=generator) + 0.1
    denoiser = Denoiser(1.0)
    c_skip, c_out, c_in = denoiser.scales(sigma)

    def network(x, sigma_BT, *_):
        return (clean - c_skip * (x / c_in)) / c_out

    valid = torch.ones(3, 4, 2, dtype=torch.bool)
    loss = denoiser.loss(network, clean, sigma, noise, valid)
    torch.testing.assert_close(loss, torch.zeros(3), atol=1e-9, rtol=0)
    noisy = clean + sigma[..., None] * noise
    torch.testing.assert_close(denoiser.bind(network)(noisy, sigma), clean)


def test_padding_does_not_touch_the_loss():
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 4, 2, generator=generator), torch.randn(2, 4, 2, generator=generator)
    sigma, valid = torch.full((2, 4), 0.5), torch.ones(2, 4, 2, dtype=torch.bool)
    valid[0, 2:] = False

    def network(x, sigma_BT, *_):
        return 0.1 * x

    before = Denoiser(1.0).loss(network, clean, sigma, noise, valid)
    clean, noise = clean.clone(), noise.clone()
    clean[0, 2:], noise[0, 2:] = 1e3, -1e3
    torch.testing.assert_close(Denoiser(1.0).loss(network, clean, sigma, noise, valid), before)


def test_scalar_sigma_is_broadcast_at_the_door():
    x = torch.zeros(2, 3, 4)
    assert per_token(0.5, x).tolist() == [[0.5] * 3] * 2
    assert per_token(torch.tensor([1.0, 2.0, 3.0]), x)[1].tolist() == [1.0, 2.0, 3.0]
