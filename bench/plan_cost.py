# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What action_node computes for a chunk, processor time by stage; beside an earlier checkout where one is given.

    python bench/plan_cost.py [--before CHECKOUT] [--hz 6.25 15] [--disagree 0 0.001 0.01]

Two arms of the simulated robot follow slow sines. Each chunk's rows differ from them by noise, ``--disagree`` rad
between chunks and a fifth of it between rows. Both versions run in one process and take turns chunk by chunk, and
their plans and windows must be equal bit for bit.
"""

import argparse
import importlib
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.serialization import deserialize_message, serialize_message
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

MS = 1_000_000
START_NS, WAY_NS, WARM_UP = 10_000 * MS, 30 * MS, 20
HERE = Path(__file__).resolve().parents[1]
STAGES = ('decode', 'join', 'take', 'send', 'decode + take + send', 'tick + send')


class Side:
    """One version of the package, and its action_node without the node."""

    def __init__(self, name: str, root: Path, node: Any):
        for module in [m for m in sys.modules if m.split('.')[0] == 'dp_ros']:
            del sys.modules[module]
        sys.path.insert(0, str(root))
        self._room = {
            part: importlib.import_module(f'dp_ros.{part}')
            for part in (
                'action.chunk', 'messages.trajectory', 'nodes.action_settings', 'nodes.dispatch', 'nodes.motion',
                'nodes.outputs', 'nodes.params', 'nodes.site', 'contract', 'share',
            )
        }  # fmt: skip
        self._read = self._reader()
        sys.path.remove(str(root))
        assert Path(self._room['share'].__file__).is_relative_to(root), f'{root} holds no dp_ros'
        self.name, self._node = name, node
        share, site = self._room['share'], self._room['nodes.site']
        path = share.share_path('config', 'contracts', 'aloha_transfer_cube.json')
        self.contract, self._binding = (
            self._room['contract'].Contract.from_json(path),
            site.load_binding('aloha_sim'),
        )

    def begin(self, rows: Any, period_ns: int) -> None:
        """Engage at the first row of (N, T, A) chunks, one every fourth row."""
        settings, names = self._room['nodes.action_settings'], self.contract.joint_names
        lax = {f'{k}_{unit}': 0.0 for k in ('max_seam', 'max_deviation') for unit in ('rad', 'm')}
        lax |= {'max_seam_rad_s': 0.0, 'max_seam_m_s': 0.0, 'start_jump_rad': 9.0, 'start_jump_m': 9.0}
        params = self._room['nodes.params'].ActionParams(binding='aloha_sim', **lax)
        parts = params, self.contract, self._binding
        self._motion = self._room['nodes.motion'].Motion(
            self.contract, settings.motion_settings(*parts), settings.chunk_limits(*parts),
            settings.motion_limits(*parts, None),
        )  # fmt: skip
        outputs = self._room['nodes.outputs'].make_outputs(
            self._node, self.contract, self._binding, self._publisher, 20 * MS
        )
        self._dispatch = self._room['nodes.dispatch'].Dispatch(outputs, 0.02)
        make = self._room['action.chunk'].ActionChunk
        self._chunks = [
            make(START_NS + 4 * i * period_ns, period_ns, names, r, self.contract.hash, 1, i)
            for i, r in enumerate(rows)
        ]
        self._measure(START_NS, 0)
        assert self._motion.engage(START_NS).success
        self.took: dict[str, list[int]] = {stage: [] for stage in STAGES}

    def _reader(self) -> Any:
        """From the bytes that travel to a chunk; versions before nodes/trajectories.py make a message between them."""
        messages = self._room['messages.trajectory']
        try:
            reader = importlib.import_module('dp_ros.nodes.trajectories').trajectory_reader()
        except ModuleNotFoundError:
            return lambda data: messages.decode_chunk(deserialize_message(data, JointTrajectory))
        return lambda data: messages.chunk_of(reader.read(data))

    def message(self, i: int) -> bytes:
        """Chunk ``i`` as it travels."""
        message = JointTrajectory()
        self._room['messages.trajectory'].fill_chunk(message, self._chunks[i], JointTrajectoryPoint)
        return bytes(serialize_message(message))

    def follow(self, i: int, data: bytes) -> list[Any]:
        """Take chunk ``i`` over, and what follows from it: plan and windows."""
        motion, clock = self._motion, time.process_time_ns
        now_ns = self._chunks[i].stamp_ns + WAY_NS
        self._measure(now_ns, i)
        plan = motion.track.plan
        joining = clock()
        if plan is not None:
            plan.joined(self._chunks[i], now_ns, 80 * MS)
        start = clock()
        chunk = self._read(data)
        decoded = clock()
        window = motion.chunk(chunk, now_ns)
        taken = clock()
        self._dispatch.publish(window, motion.chunk_id, motion.track.plan, now_ns, False)
        sent = clock()
        later_ns = now_ns + 20 * MS
        self._measure(later_ns, i)
        begin = clock()
        later = motion.tick(later_ns)
        self._dispatch.publish(later, motion.chunk_id, motion.track.plan, later_ns, True)
        end = clock()
        spans = (decoded - start, start - joining, taken - decoded, sent - taken, sent - start, end - begin)
        for stage, span in zip(STAGES, spans, strict=True):
            self.took[stage].append(span)
        parts = [motion.track.plan.controls]
        return parts + [
            w for each in (window, later) for w in (each.times_ns, each.positions, each.velocities)
        ]

    def _measure(self, now_ns: int, i: int) -> None:
        row = self._chunks[i].positions[0]
        self._motion.measured.put(now_ns, self.contract.joint_names, row, now_ns)

    def _publisher(self, kind: Any, topic: str, profile: Any) -> Any:
        return self._node.create_publisher(kind, f'{self.name}/{topic}', profile)


def wanted(names: tuple[str, ...], count: int, period_ns: int, disagree: float) -> Any:
    """(N, 32, A) rows of chunks, the same at every call."""
    rng = np.random.default_rng(0)
    size, speed, phase = (
        rng.uniform(low, high, len(names)) for low, high in ((0.004, 0.06), (0.5, 2.5), (0, 6))
    )
    seconds = (4 * np.arange(count)[:, None, None] + np.arange(32)[:, None]) * period_ns * 1e-9
    rows = size * (np.sin(speed * seconds + phase) - np.sin(phase))
    rows = rows + disagree * (rng.normal(size=(count, 1, len(names))) + 0.2 * rng.normal(size=rows.shape))
    gripper = ['gripper' in name for name in names]
    return np.where(gripper, 0.04 + 0.1 * rows, rows)


def main() -> int:
    """Print a table for each rate and disagreement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--before', type=Path, help='another checkout to compare with')
    parser.add_argument('--hz', type=float, nargs='+', default=[6.25, 15.0], help='chunks a second')
    parser.add_argument('--disagree', type=float, nargs='+', default=[0.0, 1e-3, 1e-2], help='rad')
    parser.add_argument('--chunks', type=int, default=300)
    args = parser.parse_args()
    rclpy.init(args=[])
    node = rclpy.create_node('plan_cost')
    roots = {'before': args.before.resolve()} if args.before else {}
    sides = [Side(name, root, node) for name, root in {**roots, 'now': HERE}.items()]
    for hz, disagree in ((hz, disagree) for hz in args.hz for disagree in args.disagree):
        period_ns = round(0.25e9 / hz)
        for side in sides:
            side.begin(wanted(side.contract.joint_names, args.chunks, period_ns, disagree), period_ns)
        for i in range(args.chunks):
            data = sides[0].message(i)
            turns = [side.follow(i, data) for side in (sides if i % 2 else sides[::-1])]
            for first, other in zip(turns[0], turns[-1], strict=True):
                np.testing.assert_array_equal(first, other)
        print(f'{hz:g} chunks a second, disagreement {disagree:g} rad; ms p50 / p95')
        for stage in STAGES:
            figures = [np.percentile(side.took[stage][WARM_UP:], (50, 95)) / MS for side in sides]
            print(f'  {stage:21s}', ' -> '.join(f'{p50:.2f} / {p95:.2f}' for p50, p95 in figures))
    return 0


if __name__ == '__main__':
    sys.exit(main())
