# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Model cards take measurements, each once."""

from dataclasses import replace

import pytest

from dp_ros.errors import CheckpointError
from dp_ros.policy.card import HEADING, Measurement, add_measurement, with_measurement

ONE = Measurement(
    benchmark='aloha_transfer_cube',
    seeds='0 to 99 (test)',
    run_as='as the checkpoint says',
    success=0.97,
    interval=(0.9155, 0.9897),
    episodes=100,
    per_action=0.25,
)
LINE = '| aloha_transfer_cube | 0 to 99 (test) | as the checkpoint says | 0.970 [0.915, 0.990] | 100 | 0.25 |'


def test_a_measurement_is_a_line_with_benchmark_seeds_interval_and_cost():
    card = with_measurement('# toy\n\nText.\n', ONE)
    assert card.startswith('# toy\n\nText.\n\n' + HEADING)
    assert card.splitlines()[-1] == LINE


def test_the_same_measurement_again_replaces_and_another_one_is_added():
    other = replace(ONE, run_as='evaluations 2', per_action=0.5)
    card = with_measurement(with_measurement('# toy\n', ONE), other)
    assert with_measurement(with_measurement(card, ONE), other) == card
    better = with_measurement(card, replace(ONE, success=1.0, interval=(0.963, 1.0)))
    assert '1.000 [0.963, 1.000]' in better and LINE not in better
    assert len(better.splitlines()) == len(card.splitlines())


def test_what_people_wrote_after_the_table_stays():
    card = with_measurement('# toy\n', ONE) + '\n## Notes\n\nThe grippers are new.\n'
    again = with_measurement(card, replace(ONE, benchmark='other'))
    assert again.endswith('\n\n## Notes\n\nThe grippers are new.\n')
    assert again.count(HEADING) == 1 and LINE in again


def test_a_card_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match='cannot read the model card'):
        add_measurement(tmp_path, ONE)
    (tmp_path / 'README.md').write_text('# toy\n')
    add_measurement(tmp_path, ONE)
    assert LINE in (tmp_path / 'README.md').read_text()
