# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros inspect BAG``: what is in it, and whether it fits; from an index where there is one."""

import json
from dataclasses import replace

import pytest
import yaml
from bag_maker import (
    JOINTS,
    START_NS,
    Command,
    MadeCamera,
    Plan,
    cut,
    damage_chunk,
    drop_metadata,
    example_binding_data,
    example_contract,
    make_bag,
)
from bag_messages import ARRAY, STORE

from dp_ros.bags.marks import Mark
from dp_ros.cli.main import main

PLAN = Plan(duration_s=1.0)
SECOND_NS = 1_000_000_000


def site(tmp_path, contract=None, **binding):
    (tmp_path / 'contract.json').write_text((contract or example_contract()).to_json())
    (tmp_path / 'binding.yaml').write_text(yaml.safe_dump(example_binding_data(**binding)))
    return ['--contract', str(tmp_path / 'contract.json'), '--binding', str(tmp_path / 'binding.yaml')]


def inspect(path, *options):
    return main(['inspect', str(path), *options])


def marks(*events):
    """Marks at seconds after the start."""
    text = STORE.types['std_msgs/msg/String']
    return [
        (
            '/record_node/episode',
            'std_msgs/msg/String',
            START_NS + round(s * SECOND_NS),
            text(data=mark.to_json()),
        )
        for s, mark in events
    ]


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
@pytest.mark.parametrize('compression', ['none', 'file', 'message'])
def test_a_bag_of_any_form_is_described_and_fits(tmp_path, capsys, storage, compression):
    make_bag(tmp_path / 'bag', replace(PLAN, storage=storage, compression=compression))
    if compression == 'none':
        drop_metadata(tmp_path / 'bag')
    code = inspect(tmp_path / 'bag', *site(tmp_path))
    text = capsys.readouterr().out
    # A missing metadata.yaml alone keeps nothing from fitting, and is told.
    assert code == int(compression == 'none')
    assert ('metadata.yaml is missing' in text) == (compression == 'none')
    assert f'{storage}, {"not compressed" if compression == "none" else "zstd " + compression}' in text
    assert ('all of it' in text) == (compression == 'file')
    assert 'binding made: fits' in text
    camera = next(line.split() for line in text.splitlines() if line.startswith('  /top/image_raw'))
    assert camera[1:3] == ['sensor_msgs/msg/Image', '30']
    assert 28 < float(camera[3]) < 32
    assert '3 of 3 joints' in text and '32x24 rgb8' in text


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        ({'cameras': (MadeCamera(size=(48, 64)),)}, 'camera top: images of 64x48, the contract has 32x24'),
        ({'cameras': (MadeCamera(topic='/other'),)}, "camera top: topic /top/image_raw (sensor_msgs/msg/Image) is"),
        ({'cameras': (MadeCamera(rate_hz=3.0),)}, 'less than the 5 Hz of ticks'),
        ({'cameras': (MadeCamera(encoding='rgb8'),), 'resized': ('/top/image_raw',)}, 'the images change'),
        ({'joints': JOINTS[:2]}, 'joints: never measured: left_finger'),
        ({'joint_topic': '/joints'}, 'joints: topic /joint_states'),
        ({'commands': ()}, 'command: topic /arm_controller/joint_trajectory'),
        ({'commands': (Command('/arm_controller/joint_trajectory', ARRAY),)}, 'Float64MultiArray in the bag'),
        (
            {'commands': (Command('/arm_controller/joint_trajectory', joints=JOINTS[1:]),)},
            'command: never commanded: left_j1',
        ),
        ({'joint_rate_hz': 6.0}, '100 ms are bridged'),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told(tmp_path, capsys, change, told):
    make_bag(tmp_path / 'bag', replace(PLAN, **change))
    assert inspect(tmp_path / 'bag', *site(tmp_path)) == 1
    text = capsys.readouterr().out
    assert 'differences' in text
    assert any(line.startswith('  differs: ') and told in line for line in text.splitlines()), text


def test_what_is_more_than_needed_is_a_note(tmp_path, capsys):
    make_bag(tmp_path / 'bag', replace(PLAN, joints=('head', *JOINTS), cameras=(MadeCamera(rate_hz=15.0),)))
    assert inspect(tmp_path / 'bag', *site(tmp_path)) == 0
    text = capsys.readouterr().out
    assert 'note: /joint_states: further joints: head' in text
    assert 'Hz, less than the 20 Hz of the period' in text


def test_compressed_images_stand_in_for_the_topic(tmp_path, capsys):
    make_bag(
        tmp_path / 'bag', replace(PLAN, cameras=(MadeCamera('/top/image_raw/compressed', encoding='jpeg'),))
    )
    assert inspect(tmp_path / 'bag', *site(tmp_path)) == 0
    assert '/top/image_raw/compressed' in capsys.readouterr().out


def test_a_bag_that_was_cut_off_says_so(tmp_path, capsys):
    make_bag(tmp_path / 'bag', PLAN)
    cut(tmp_path / 'bag', 0.6)
    assert inspect(tmp_path / 'bag') == 1
    text = capsys.readouterr().out
    assert 'all of it' in text
    assert 'cut off in a chunk at byte' in text


def test_damage_inside_is_found_where_everything_is_read(tmp_path, capsys):
    make_bag(tmp_path / 'bag', Plan())
    damage_chunk(tmp_path / 'bag', 2)
    assert inspect(tmp_path / 'bag') == 0
    assert '--read reads it all' in capsys.readouterr().out
    assert inspect(tmp_path / 'bag', '--read') == 1
    assert 'is damaged: skipped' in capsys.readouterr().out


def test_what_the_recorder_kept_is_shown_and_is_what_the_bag_is_held_against(tmp_path, capsys):
    contract = example_contract()
    kept = {
        'operator': 'ada',
        'namespace': '/',
        'contract': contract.to_json(),
        'contract_hash': contract.hash,
        'binding': yaml.safe_dump(example_binding_data()),
        'outcomes': json.dumps({'1': 'failure'}),
    }
    extra = marks(
        (0.1, Mark(event='start', episode=0, stamp_ns=0, instruction='stack the cups')),
        (0.4, Mark(event='stop', episode=0, stamp_ns=0, outcome='success')),
        (0.5, Mark(event='start', episode=1, stamp_ns=0, instruction='stack the cups')),
        (0.9, Mark(event='stop', episode=1, stamp_ns=0, outcome='success')),
    )
    make_bag(tmp_path / 'bag', replace(PLAN, custom_data=kept, extra=extra))
    assert inspect(tmp_path / 'bag') == 0
    text = capsys.readouterr().out
    assert 'operator                 ada' in text
    assert '2: 1 success, 1 failure' in text
    assert text.count('instruction: stack the cups') == 1
    assert 'binding made: fits' in text
    other = site(tmp_path, example_contract(pred_horizon=16))[:2]
    assert inspect(tmp_path / 'bag', *other) == 0
    assert 'recorded for another contract than made' in capsys.readouterr().out


def test_silences_are_counted(tmp_path, capsys):
    make_bag(tmp_path / 'bag', replace(PLAN, duration_s=2.0, cameras=(MadeCamera(dropout=(0.5, 1.2)),)))
    assert inspect(tmp_path / 'bag') == 0
    assert 'episodes by gaps           1, by silences of 1 s' in capsys.readouterr().out
    assert inspect(tmp_path / 'bag', '--gap', '0.5') == 0
    assert 'episodes by gaps           2, by silences of 0.5 s' in capsys.readouterr().out


def test_half_a_question_and_a_strange_option_are_refused(tmp_path, capsys):
    make_bag(tmp_path / 'bag', PLAN)
    assert inspect(tmp_path / 'bag', *site(tmp_path)[:2]) == 2
    assert 'needs --binding as well' in capsys.readouterr().err
    assert inspect(tmp_path / 'bag', '--plot', str(tmp_path / 'x.svg')) == 2
    assert '--plot has no meaning' in capsys.readouterr().err
    (tmp_path / 'empty').mkdir()
    assert inspect(tmp_path / 'empty') == 2
    assert 'nor a bag' in capsys.readouterr().err
