# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Laws of the heads that exist in training only."""

import math

import torch

from dp_ros.training.heads import PATCHES, AlignmentHead, ForesightHead, PrivilegedHead


def pair(tasks, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, len(tasks), 16, generator=generator)


def test_alignment_is_the_cross_entropy_of_the_right_pair():
    torch.manual_seed(0)
    head = AlignmentHead(16, dim=8)
    text, image = pair(range(4))
    z_text, z_image = (
        torch.nn.functional.normalize(layer(x), dim=-1)
        for layer, x in ((head.text, text), (head.image, image))
    )
    logits = z_text @ z_image.T / 0.07
    by_hand = -0.5 * (logits.log_softmax(1).diagonal() + logits.log_softmax(0).diagonal()).mean()
    torch.testing.assert_close(head(text, image, torch.arange(4)), by_hand)


def test_samples_with_equal_instructions_are_no_negatives_of_each_other():
    """As if each had the batch without its duplicates to itself."""
    torch.manual_seed(0)
    head = AlignmentHead(16, dim=8)
    text, image = pair(range(4))
    text[1] = text[0]
    task = torch.tensor([5, 5, 6, 7])
    without = [torch.tensor(rows) for rows in ([0, 2, 3], [1, 2, 3])]

    def rows_of(kept, row):
        """The two directions' losses of one row of a smaller batch."""
        z = [
            torch.nn.functional.normalize(layer(x[kept]), dim=-1)
            for layer, x in ((head.text, text), (head.image, image))
        ]
        logits = z[0] @ z[1].T / 0.07
        return -0.5 * (logits.log_softmax(1)[row, row] + logits.log_softmax(0)[row, row])

    for row, kept in enumerate(without):
        grown = head(text[kept], image[kept], task[kept])
        assert grown.isfinite()
        alone = rows_of(kept, 0)
        many = [rows_of(torch.tensor([0, 1, 2, 3]), i) for i in range(4)]
        assert many[row] > alone  # counting the duplicate as a negative would cost more
    total = head(text, image, task)
    assert total < head(text, image, torch.arange(4))
    one_task = head(text, image, torch.zeros(4, dtype=torch.long))
    torch.testing.assert_close(one_task, torch.zeros(()))


def test_the_temperature_is_clamped():
    torch.manual_seed(0)
    head = AlignmentHead(16)
    text, image = pair(range(4))
    with torch.no_grad():
        head.log_scale.fill_(math.log(100.0))
        limit = head(text, image, torch.arange(4))
        head.log_scale.fill_(50.0)
        torch.testing.assert_close(head(text, image, torch.arange(4)), limit)


def test_alignment_of_nothing_is_nothing():
    assert AlignmentHead(16)(torch.zeros(0, 16), torch.zeros(0, 16), torch.zeros(0, dtype=torch.long)) == 0


def foresight_inputs():
    generator = torch.Generator().manual_seed(0)
    pictures = {
        name: torch.randint(0, 256, (2, 24, 32, 3), generator=generator, dtype=torch.uint8)
        for name in ('a', 'b')
    }
    return (
        torch.randn(2, 5, 16, generator=generator),
        pictures,
        torch.rand(2, PATCHES, generator=generator).argsort(1),
    )


def test_foresight_asks_the_context_for_what_is_hidden():
    torch.manual_seed(0)
    head = ForesightHead(16, ('a', 'b'), width=16, depth=1)
    context, pictures, order = foresight_inputs()
    context.requires_grad_()
    loss = head(context, pictures, order)
    loss.backward()
    assert context.grad.abs().amax(dim=(0, 2)).min() > 0  # every token, both samples
    assert 0.1 < loss < 3.0


def test_foresight_does_not_see_what_is_hidden_and_learns_to_tell_it():
    torch.manual_seed(0)
    head = ForesightHead(16, ('a',), width=16, depth=1)
    context, pictures, order = foresight_inputs()
    everything = torch.zeros(2, PATCHES, dtype=torch.bool)
    everything.scatter_(1, order[:, : PATCHES * 3 // 4], True)
    # Grey where hidden: what is left is the same, so the guess must be, and only the target differs.
    cell = everything.view(2, 8, 8).repeat_interleave(3, 1).repeat_interleave(4, 2)
    grey = {'a': torch.where(cell[..., None], torch.full_like(pictures['a'], 128), pictures['a'])}
    guesses = []
    head.pixels.register_forward_hook(lambda module, args, out: guesses.append(out.detach()))
    first, second = head(context, pictures, order), head(context, grey, order)
    torch.testing.assert_close(guesses[0], guesses[1])
    assert second < first
    optimiser = torch.optim.Adam(head.parameters(), 1e-2)
    for _ in range(40):
        optimiser.zero_grad()
        head(context, pictures, order).backward()
        optimiser.step()
    assert head(context, pictures, order) < 0.8 * first


def test_what_no_sensor_tells_is_told_in_standardised_numbers():
    torch.manual_seed(0)
    samples = torch.tensor([1.0, -3.0, 0.0]) + torch.tensor([2.0, 0.5, 0.0]) * torch.randn(5000, 3)
    head = PrivilegedHead(width=4, privileged_NP=samples)
    torch.nn.init.zeros_(head.tell.weight)
    torch.nn.init.zeros_(head.tell.bias)
    fused = torch.randn(5000, 4)
    # Who says the mean errs by the spread, and a number that never changes costs nothing.
    torch.testing.assert_close(head(fused, samples), torch.tensor(2 / 3), rtol=1e-3, atol=0)


def test_what_the_fusion_token_holds_is_learnt():
    torch.manual_seed(0)
    fused = torch.randn(512, 8)
    hidden = fused[:, :2] * torch.tensor([0.1, 5.0]) + 7.0
    head = PrivilegedHead(width=8, privileged_NP=hidden)
    optimiser = torch.optim.Adam(head.parameters(), lr=3e-2)
    for _ in range(100):
        loss = head(fused, hidden)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.05
