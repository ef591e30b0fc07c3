# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The lines of action_node on /diagnostics."""

from collections.abc import Iterable

from dp_ros.action.supervisor import Mode
from dp_ros.nodes.action_inputs import ActionInputs
from dp_ros.nodes.diagnostics import ERROR, OK, WARN, Status
from dp_ros.nodes.dispatch import Dispatch
from dp_ros.nodes.motion import Motion


def status_lines(
    motion: Motion, inputs: ActionInputs, dispatch: Dispatch, now_ns: int, conflict: str, dry_run: bool
) -> Iterable[Status]:
    """State and ages, plan, windows, tracking, counters; every number that a person needs to trust the arms."""
    mode = motion.state.mode
    level = ERROR if mode is Mode.FAULT else WARN if mode is Mode.HOLD or conflict else OK
    yield Status('motion', level, str(motion.state), _motion(motion, inputs, now_ns, conflict, dry_run))
    yield Status('plan', OK, 'chunks against the plan, rad or m', motion.figures.values())
    margin = motion.track.margin_ns
    windows = dispatch.values() | ({} if margin is None else {'margin_min_ms': f'{margin / 1e6:.1f}'})
    yield Status('windows', OK, 'distance and jitter on the wall clock, margin in ROS time', windows)
    errors = zip(motion.measured.joint_names, motion.tracking.largest, strict=True)
    yield Status(
        'tracking', OK, 'largest error of this engagement, rad or m', {name: float(e) for name, e in errors}
    )
    counters = motion.counters | motion.gates.counters
    counters['publish_gaps'] = motion.track.gaps
    counters['joint_states_reordered'] = motion.measured.reordered
    yield Status('counters', OK, 'since configuring', counters)


def _motion(
    motion: Motion, inputs: ActionInputs, now_ns: int, conflict: str, dry_run: bool
) -> dict[str, object]:
    age, chunk_ns = motion.measured.age_ns(now_ns), motion.state.chunk_ns
    values: dict[str, object] = {
        'measured_age_s': 'never' if age is None else age * 1e-9,
        'chunk_age_s': 'never' if chunk_ns is None else (now_ns - chunk_ns) * 1e-9,
        'time_in_state_s': (now_ns - motion.state.since_ns) * 1e-9,
        'dry_run': dry_run,
        'estop': motion.estopped,
    }
    deadman = motion.deadman.check(now_ns)
    if deadman:
        values['deadman'] = deadman
    if conflict:
        values['conflict'] = conflict
    if inputs.trouble:
        values['last_refused_joint_state'] = inputs.trouble
    if motion.gates.last_refusal:
        values['last_refused_chunk'] = motion.gates.last_refusal
    return values | {f'{name}_hz': meter.rate_hz for name, meter in inputs.rates.items()}
