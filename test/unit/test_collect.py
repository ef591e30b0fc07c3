# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros collect`` without a simulator: arguments, noise, when it gives up. test/sim holds the real thing."""

import argparse

import numpy as np
import pytest

from dp_ros.cli import collect
from dp_ros.errors import ConfigError, TaskError
from dp_ros.simulation.demonstration import ornstein_uhlenbeck
from dp_ros.simulation.robot import make_task


def arguments(*extra: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    collect.add_arguments(parser)
    return parser.parse_args(['--out', '/nonexistent/store', *extra])


def test_training_seeds_never_meet_test_or_validation_seeds() -> None:
    assert arguments().first_seed >= 100_000


@pytest.mark.parametrize(
    'extra',
    [
        ['--episodes', '0'],
        ['--processes', '0'],
        ['--first-seed', '-1'],
        ['--noise', '-1'],
        ['--noise', 'nan'],
    ],
)
def test_illegal_numbers_are_named(extra: list[str]) -> None:
    with pytest.raises(ConfigError, match=f'{extra[0]} must be at least'):
        collect.run(arguments(*extra))


def test_unknown_task_lists_the_legal_ones() -> None:
    with pytest.raises(TaskError, match='aloha_transfer_cube'):
        collect.run(arguments('--task', 'juggling'))
    with pytest.raises(TaskError, match='aloha_transfer_cube'):
        make_task('juggling')


def test_noise_starts_at_rest_and_settles_at_its_scale() -> None:
    noise = ornstein_uhlenbeck(np.random.default_rng(0), 300, 2000, 0.02)
    assert not noise[0].any()
    assert abs(noise[100:].std() - 0.02) < 5e-4
    lag = (noise[100:-10] * noise[110:]).mean() / noise[100:].var()
    assert abs(lag - np.exp(-1.0)) < 0.02


def test_a_broken_expert_is_given_up(capsys: pytest.CaptureFixture) -> None:
    progress = collect._Progress(wanted=100, kept=0, tried=0)
    for _ in range(39):
        progress.count(False)
    with pytest.raises(TaskError, match='succeeded in 0 of 40'):
        progress.count(False)
    assert '0/100 episodes' in capsys.readouterr().err


def test_settings_that_differ_are_listed() -> None:
    found = {'task': 'a', 'settings': {'noise': 0.03, 'expert': {'hover': 0.1}}}
    wanted = {'task': 'a', 'settings': {'noise': 0.02, 'expert': {'hover': 0.2}}}
    text = collect._differences(found, wanted)
    assert 'settings.noise is 0.03 there and 0.02 here' in text
    assert 'settings.expert.hover' in text
    assert 'task' not in text
