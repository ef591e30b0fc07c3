# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A made-up run for the tests of the report and the video. Nothing here was measured; its title says so."""

import numpy as np

from dp_ros.evaluation.record import ChunkRecord, EpisodeRecord, FrameRecord, RunRecord

JOINTS = ('waist', 'shoulder', 'elbow', 'forearm_roll', 'wrist_angle', 'wrist_rotate', 'gripper')
CONTROL_NS, PERIOD_NS, TICK_NS = 20_000_000, 40_000_000, 160_000_000
TITLE = 'SYNTHETIC record made by a test, not a measurement'


def synthetic_episode(
    seed: int, success: bool, steps: int = 100, size: tuple[int, int] = (48, 64)
) -> EpisodeRecord:
    """An episode of sine waves with a lagging robot and a moving square."""
    rng = np.random.default_rng(seed)
    names = [f'{side}_arm_{joint}' for side in ('left', 'right') for joint in JOINTS]
    phase = rng.uniform(0, 2 * np.pi, len(names))
    start = 5_000_000_000 + seed * 10_000_000_000

    def curve(times_ns):
        seconds = (np.asarray(times_ns, np.float64) - start)[:, None] / 1e9
        positions = 0.6 * np.sin(2.5 * seconds + phase)
        positions[:, 6::7] = 0.038 + 0.018 * np.sin(1.5 * seconds + phase[6::7])
        return positions

    times = start + CONTROL_NS * np.arange(steps, dtype=np.int64)
    chunks = []
    for stamp in times[:: TICK_NS // CONTROL_NS]:
        ahead = stamp + PERIOD_NS * np.arange(32)
        drift = rng.normal(0, 1, len(names)) * np.linspace(0, 0.15, 32)[:, None]
        drift[:, 6::7] *= 0.03
        chunks.append(ChunkRecord(int(stamp), curve(ahead) + drift))
    frames = []
    for i, stamp in enumerate(times[::2]):
        image = np.full((*size, 3), (38, 60, 60), np.uint8)
        x = int((size[1] - size[0] // 4) * i / max(1, steps // 2 - 1))
        image[size[0] // 3 : size[0] // 3 + size[0] // 4, x : x + size[0] // 4] = (220, 60, 40)
        frames.append(FrameRecord.encode(int(stamp), image))
    ticks = len(chunks)
    return EpisodeRecord(
        seed=seed,
        success=success,
        strict_success=success and seed % 3 != 0,
        max_reward=4.0 if success else 2.0,
        steps=steps,
        times_ns=times,
        measured=curve(times - 50_000_000),
        commanded=curve(times),
        chunks=chunks,
        frames=frames,
        latency_ms={
            'encode': list(rng.gamma(9, 1.2, ticks)),
            'network': list(rng.gamma(16, 1.0, ticks)),
            'total': list(rng.gamma(25, 1.2, ticks)),
        },
        counters={'chunks accepted': ticks, 'chunks rejected': 0},
        states=[(int(times[0]), 'SYNC'), (int(times[1]), 'RUN'), (int(times[-1]), 'IDLE')],
        wall_s=7.25,
    )


def synthetic_run(successes: tuple[bool, ...] = (True, True, False), **episode) -> RunRecord:
    """A run of one synthetic episode per entry of ``successes``."""
    names = tuple(f'{side}_arm_{joint}' for side in ('left', 'right') for joint in JOINTS)
    return RunRecord(
        title=TITLE,
        joint_names=names,
        joint_units=tuple('m' if n.endswith('gripper') else 'rad' for n in names),
        period_ns=PERIOD_NS,
        camera='top',
        episodes=[synthetic_episode(seed, success, **episode) for seed, success in enumerate(successes)],
        provenance={'command': 'pytest', 'checkpoint': 'none'},
        counters={'lockstep time-outs': 0},
        success_target=0.8,
    )
