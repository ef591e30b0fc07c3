# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""`dp_ros demo` as a user runs it, with a policy that knows nothing."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest

pytest.importorskip('gym_aloha', reason='needs the extra sim')

from dp_ros.evaluation.record import RunRecord
from dp_ros.share import share_path

pytestmark = pytest.mark.sim
# An untrained policy does not pass the gates that a demo keeps closed.
SHIPPED = share_path('checkpoints', 'aloha_transfer_cube')


def demo(out, checkpoint, *more):
    command = [
        sys.executable,
        '-m',
        'dp_ros.cli.main',
        'demo',
        '--checkpoint',
        checkpoint,
        '--out',
        out,
        *more,
    ]
    return subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_it_runs_reports_and_leaves_nothing_behind(tmp_path):
    process = demo(tmp_path, SHIPPED, '--episodes', '1', '--seed', '5')
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    assert 'not every process ended cleanly' not in output
    assert output.rstrip().endswith('demo: 1/1 episodes succeeded')
    assert (tmp_path / 'report.html').is_file()
    assert (tmp_path / 'rollout.mp4').stat().st_size > 10_000
    record = RunRecord.load(tmp_path / 'recording' / 'run.npz')
    (episode,) = record.episodes
    assert (episode.seed, episode.steps, len(episode.times_ns)) == (5, 300, 300)
    assert episode.chunks[0].stamp_ns == episode.times_ns[0]
    seen = [chunk.stamp_ns for chunk in episode.chunks], episode.states, episode.counters
    assert len(episode.chunks) == 38, seen
    assert len(episode.frames) > 50
    assert {text.split(':')[0] for _, text in episode.states} >= {'SYNC', 'RUN'}
    assert record.counters['sim_node.late_starts'] == 0
    assert record.counters['action_node.accepted'] >= 38
    assert {'encode', 'network', 'total'} <= set(episode.latency_ms)
    assert_nobody_left(tmp_path)


def test_ctrl_c_brakes_and_ends_everything(tmp_path):
    process = demo(tmp_path, SHIPPED, '--episodes', '3')
    log = tmp_path / 'logs' / 'action_node.log'
    end = time.monotonic() + 90
    while not (log.is_file() and 'RUN: following chunks' in log.read_text()):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    codes = re.search(r'every process has ended: (.*)', output).group(1)
    assert {'policy_node 0', 'action_node 0', 'sim_node 0'} <= set(codes.split(', '))
    assert 'braking window published' in log.read_text()
    assert_nobody_left(tmp_path)


def test_a_damaged_checkpoint_ends_it_with_the_reason(checkpoint, tmp_path):
    shutil.copytree(checkpoint, tmp_path / 'bad')
    (tmp_path / 'bad' / 'model.safetensors').write_bytes(b'nothing')
    process = demo(tmp_path / 'out', tmp_path / 'bad')
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 1
    assert 'policy_node ended early with exit code 1' in output
    assert "SHA-256 differs from manifest.json for ['model.safetensors']" in output
    assert 'Traceback' not in output
    assert_nobody_left(tmp_path)


def assert_nobody_left(out):
    left = [
        p.info
        for p in psutil.process_iter(['pid', 'cmdline'])
        if str(out) in ' '.join(p.info['cmdline'] or [])
    ]
    assert left == []
