# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Bags become episodes: the observations that the live node would have made, and the command as a curve."""

import numpy as np
import pytest
from bag_maker import Command, MadeCamera, Plan, curve, cut, example_binding, example_contract, make_bag
from bag_messages import JOINT_STATE, TEXT, text_message

from dp_ros.bags.episodes import spans_from_marks
from dp_ros.bags.marks import MARK_TYPE, Mark
from dp_ros.bags.reader import open_bag
from dp_ros.bags.topics import absolute
from dp_ros.data.episode_file import read_episode, write_episode
from dp_ros.data.importer import ImportSettings, import_bag
from dp_ros.errors import BagError, MismatchError, StaleObservationError
from dp_ros.observation.intake import Intake
from dp_ros.observation.observation_buffer import ObservationBuffer

MS = 1_000_000
CAMERAS = {
    'top': MadeCamera(dropout=(0.8, 0.95)),
    'wrist': MadeCamera('/wrist/image_raw', size=(32, 24), encoding='bgr8'),
}
CONTRACT = example_contract(cameras={name: camera.size for name, camera in CAMERAS.items()})
BINDING = example_binding(made=CAMERAS)
PLAN = Plan(cameras=tuple(CAMERAS.values()), commands=(Command('/arm_controller/joint_trajectory'),))


def imported(tmp_path, plan=PLAN, binding=BINDING, **settings):
    make_bag(tmp_path / 'bag', plan)
    (tmp_path / 'staging').mkdir()
    done = import_bag(tmp_path / 'bag', CONTRACT, binding, ImportSettings(**settings), tmp_path / 'staging')
    return done, [read_episode(file, CONTRACT) for file in done.files]


def test_observations_are_those_of_the_live_code(tmp_path):
    """The reference asks the buffer after every message, and keeps what it answers."""
    _, (episode,) = imported(tmp_path)
    buffer = ObservationBuffer(CONTRACT)
    intake = Intake(CONTRACT, BINDING, buffer)
    sources = {absolute(source.topic): source for source in intake.sources}
    expected = {}
    with open_bag(tmp_path / 'bag') as bag:
        for message in bag.messages(sources):
            sources[message.topic].put(message.decode(), message.log_ns)
            try:
                observation = buffer.observe(message.log_ns)
            except StaleObservationError:
                continue
            expected[observation.stamp_ns] = observation
    assert len(episode) > 40
    assert set(episode.stamps_ns) <= set(expected)
    for i, stamp_ns in enumerate(episode.stamps_ns):
        observation = expected[stamp_ns]
        np.testing.assert_array_equal(episode.proprio[i], observation.proprio)
        for name, pixels in observation.images.items():
            np.testing.assert_array_equal(episode.images[name][episode.image_index[name][i]], pixels)


def test_a_recorder_may_have_compressed_the_images(tmp_path):
    """record_node puts JPEGs on a topic beside; lossless here, so that the pixels must be the same."""
    compressed = [MadeCamera(f'{c.topic}/compressed', size=c.size, encoding='png') for c in CAMERAS.values()]
    raw = [MadeCamera(c.topic, size=c.size) for c in CAMERAS.values()]
    (tmp_path / 'other').mkdir()
    _, (one,) = imported(tmp_path, Plan(cameras=compressed))
    _, (other,) = imported(tmp_path / 'other', Plan(cameras=raw))
    np.testing.assert_array_equal(one.stamps_ns, other.stamps_ns)
    for name in CAMERAS:
        np.testing.assert_array_equal(one.images[name], other.images[name])


def test_what_was_measured_may_be_what_was_commanded(tmp_path):
    """Kinesthetic teaching: the joint states are observation and label at once."""
    binding = example_binding(made=CAMERAS, actions=[{'topic': '/joint_states', 'type': JOINT_STATE}])
    _, (episode,) = imported(tmp_path, Plan(cameras=PLAN.cameras, commands=()), binding)
    wanted = np.stack([curve(n, episode.command_stamps_ns) for n in CONTRACT.joint_names], axis=1)
    np.testing.assert_allclose(episode.commands, wanted, atol=1e-3)


def test_every_frame_is_kept_once(tmp_path):
    _, (episode,) = imported(tmp_path)
    for name, frames in episode.images.items():
        used = np.unique(episode.image_index[name])
        assert len(used) == len(frames)
        assert len(np.unique(frames.reshape(len(frames), -1), axis=0)) == len(frames)


@pytest.mark.parametrize('kind', [None, JOINT_STATE])
def test_labels_are_what_was_commanded(tmp_path, kind):
    """Windows of a controller, or the joint states of a leader arm at 100 Hz with names of its own."""
    binding, plan = BINDING, PLAN
    if kind:
        names = {'l1': 'left_j1', 'l2': 'left_j2', 'lf': 'left_finger'}
        actions = [{'topic': '/leader', 'type': kind, 'names': names}]
        binding = example_binding(made=CAMERAS, actions=actions)
        plan = Plan(
            cameras=PLAN.cameras, commands=(Command('/leader', kind, rate_hz=100.0, names=tuple(names)),)
        )
    _, (episode,) = imported(tmp_path, plan, binding)
    wanted = np.stack([curve(n, episode.command_stamps_ns) for n in CONTRACT.joint_names], axis=1)
    np.testing.assert_allclose(episode.commands, wanted, atol=2e-3)
    assert episode.command_stamps_ns[0] == episode.stamps_ns[0]
    assert episode.command_stamps_ns[-1] >= episode.stamps_ns[-1] - 5 * MS


def mark(plan, seconds, event, episode, outcome='unmarked'):
    log_ns = plan.start_ns + round(seconds * 1e9)
    said = Mark(event=event, episode=episode, stamp_ns=log_ns, outcome=outcome, instruction='pass the cube')
    return ('/record_node/episode', TEXT, log_ns, text_message(said.to_json()))


def test_marks_say_what_is_an_episode_and_what_became_of_it(tmp_path):
    assert MARK_TYPE == TEXT
    events = [
        (0.1, 'start', 0), (0.6, 'stop', 0, 'success'), (0.7, 'start', 1), (1.2, 'stop', 1, 'success'),
        (1.25, 'start', 2), (1.3, 'judge', 1, 'discard'),
    ]  # fmt: skip
    plan = Plan(cameras=PLAN.cameras, extra=[mark(PLAN, *event) for event in events])
    done, episodes = imported(tmp_path, plan)
    assert [e.metadata['outcome'] for e in episodes] == ['success', 'unmarked']
    assert {e.metadata['instruction'] for e in episodes} == {'pass the cube'}
    spans = [
        (plan.start_ns + round(a * 1e9), plan.start_ns + round(b * 1e9)) for a, b in ((0.1, 0.6), (1.25, 9))
    ]
    for episode, (start, stop) in zip(episodes, spans, strict=True):
        assert start - 50 * MS <= episode.stamps_ns[0] <= episode.command_stamps_ns[-1] <= stop
    assert "bag 'bag', episode 1: left out, marked discard" in done.notes


def test_a_start_without_a_stop_ends_where_the_next_begins_or_the_bag_ends():
    said = [Mark(event='start', episode=i, stamp_ns=0) for i in range(2)]
    found = spans_from_marks([(10, said[0]), (20, said[1])], 30)
    assert [(s.start_ns, s.stop_ns) for s in found] == [(10, 20), (20, 30)]


def test_a_clock_that_jumps_ends_an_episode(tmp_path):
    """The curve of commands would be a line across three seconds that nobody commanded."""
    done, episodes = imported(tmp_path, Plan(duration_s=3.0, cameras=PLAN.cameras, jump=(1.5, 3.0)))
    assert len(episodes) == 2
    assert 's without observations' in done.notes[0]
    assert max(np.diff(episode.stamps_ns).max() for episode in episodes) < 10**9


def test_a_bag_that_was_cut_off_gives_what_is_whole(tmp_path):
    make_bag(tmp_path / 'bag', PLAN)
    cut(tmp_path / 'bag', 0.6)
    (tmp_path / 'staging').mkdir()
    done = import_bag(tmp_path / 'bag', CONTRACT, BINDING, ImportSettings(), tmp_path / 'staging')
    assert done.episodes[0]['observations'] > 20
    assert any('cut off' in line or 'footer' in line for line in done.skipped)


def test_images_of_another_size_are_named_with_topic_and_time(tmp_path):
    done, (episode,) = imported(tmp_path, Plan(cameras=PLAN.cameras, resized=('/top/image_raw',)))
    assert len(episode) > 20
    assert any('/top/image_raw' in line or "camera 'top'" in line for line in done.skipped)
    assert done.counters['undecodable.top'] > 0


def test_what_is_known_or_does_not_fit_leaves_nothing(tmp_path):
    done, _ = imported(tmp_path)
    (tmp_path / 'again').mkdir()
    with pytest.raises(BagError, match='is in the store already'):
        import_bag(
            tmp_path / 'bag', CONTRACT, BINDING, ImportSettings(), tmp_path / 'again', {done.sha256: 'bag'}
        )
    with pytest.raises(MismatchError, match=r'topic /ns/joint_states .* is not in the bag'):
        import_bag(
            tmp_path / 'bag', CONTRACT, example_binding(made=CAMERAS, joint_states=[{'topic': 'joint_states'}]),
            ImportSettings(namespace='ns'), tmp_path / 'again',
        )  # fmt: skip
    assert not list((tmp_path / 'again').iterdir())


def test_frames_leave_the_scratch_folder_when_their_episode_is_written(tmp_path, monkeypatch):
    """Else a long bag would need its frames' room on the disk twice, until its end."""
    left = []

    def counted(episode, file):
        write_episode(episode, file)
        left.append(sum(file.stat().st_size > 0 for file in tmp_path.rglob('*.rgb')))

    monkeypatch.setattr('dp_ros.data.importer.write_episode', counted)
    marks = [(0.1, 'start', 0), (0.6, 'stop', 0, 'success'), (0.7, 'start', 1), (1.2, 'stop', 1, 'success')]
    done, _ = imported(tmp_path, Plan(cameras=PLAN.cameras, extra=[mark(PLAN, *event) for event in marks]))
    assert len(done.files) == len(left) == 2
    assert left[1] == len(CAMERAS)
