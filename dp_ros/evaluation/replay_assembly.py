# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Chunks laid beside what was recorded: from what a policy made, live or offline, to a replay record."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dp_ros.evaluation.replay_record import Curves, Floats, ReplayRecord, ReplayTick
from dp_ros.evaluation.replay_witness import WitnessBuffer
from dp_ros.observation.command_stream import CommandStream
from dp_ros.policy.controller import Controller

NO_PICTURE = 'no new picture from a camera'


@dataclass(frozen=True, eq=False)
class Predicted:
    """A chunk and where it came from, before it is laid beside what was recorded; see :class:`ReplayTick`."""

    stamp_ns: int
    log_ns: int
    chunk: Floats
    stage_ms: dict[str, float]
    measured: Floats | None = None
    full: Floats | None = None
    spread: Floats | None = None
    episode: int = 0


def new_record(controller: Controller, title: str, checkpoint: str, bag: str) -> ReplayRecord:
    """An empty record of a policy."""
    policy = controller.policy
    embodiment = policy.contract.embodiment
    return ReplayRecord(
        title=title,
        checkpoint=checkpoint,
        bag=bag,
        joint_names=embodiment.joint_names,
        joint_units=tuple(j.unit for j in embodiment.joints),
        grippers=tuple(arm.gripper.name for arm in embodiment.arms if arm.gripper is not None),
        period_ns=policy.contract.timing.period_ns,
        tick_ns=controller.tick_ns,
        scale=policy.action.std.numpy().astype(np.float64),
        mode=controller.control.mode,
    )


def fill(
    record: ReplayRecord,
    predicted: Sequence[Predicted],
    commands: CommandStream,
    witness: WitnessBuffer,
    stops_ns: Mapping[int, int],
) -> None:
    """Lay chunks beside what was recorded: fills the ticks, curves and frames of a record.

    Args:
        record: of :func:`new_record`.
        predicted: in the order in which they were made.
        commands: all of the bag's commands.
        witness: the buffer through which the bag went.
        stops_ns: episode to its end; what was commanded later is no longer part of it.
    """
    last_ns = commands.last_ns or 0
    # What follows the last command of an episode belongs to the way to the next one's first.
    ends_ns = {
        episode: -1 if (known_ns := commands.known_until(min(stop_ns, last_ns))) is None else known_ns
        for episode, stop_ns in stops_ns.items()
    }
    end_of_all_ns = max(ends_ns.values(), default=last_ns)
    for one in predicted:
        times = one.stamp_ns + record.period_ns * np.arange(len(one.chunk), dtype=np.int64)
        recorded, known = commands.sample(times)
        known &= times <= ends_ns.get(one.episode, last_ns)
        measured = witness.measured_at([one.stamp_ns])[0] if one.measured is None else one.measured
        record.ticks.append(
            ReplayTick(
                one.stamp_ns,
                one.log_ns,
                one.chunk,
                recorded,
                known,
                measured,
                one.stage_ms,
                one.full,
                one.spread,
                one.episode,
            )
        )
    record.frames = witness.frames
    if record.ticks:
        first_ns = min(t.stamp_ns for t in record.ticks) - record.period_ns
        end_ns = max(t.stamp_ns for t in record.ticks) + record.horizon * record.period_ns
        stamps = np.arange(first_ns, end_ns, record.period_ns, dtype=np.int64)
        commanded, known = commands.sample(stamps)
        commanded[~known | (stamps > end_of_all_ns)] = np.nan
        measured = witness.measured_at(stamps)
        # What lies between two episodes would be joined by lines that nobody drove.
        outside = np.ones(len(stamps), np.bool_)
        for episode in {t.episode for t in record.ticks}:
            begin_ns = min(t.stamp_ns for t in record.ticks if t.episode == episode) - record.period_ns
            outside &= (stamps < begin_ns) | (stamps > ends_ns.get(episode, end_ns))
        commanded[outside], measured[outside] = np.nan, np.nan
        record.curves = Curves(stamps, commanded, measured)


def skipped_ticks(record: ReplayRecord, refused: Mapping[int, str]) -> Counter[str]:
    """Ticks that should have been between those that were, by the reason of the last refusal in the gap.

    Args:
        record: with ticks.
        refused: stamp of an observation that was refused, to the reason.
    """
    out: Counter[str] = Counter()
    stamps = np.array(sorted(refused), np.int64)
    for before, after in zip(record.ticks, record.ticks[1:], strict=False):
        missing = round((after.stamp_ns - before.stamp_ns) / record.tick_ns) - 1
        if before.episode == after.episode and missing > 0:
            inside = stamps[(stamps > before.stamp_ns) & (stamps <= after.stamp_ns)]
            out[refused[int(inside[-1])] if len(inside) else NO_PICTURE] += missing
    return out
