# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The parameters of the nodes: one frozen dataclass per node is the schema, the defaults and the typed result.

Every parameter is read-only: what a checkpoint or a robot fixes must not change under a moving arm. Restart the
node, or pass a YAML file, to change one. Names, units and ranges are what ``ros2 param describe`` prints.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, TypeVar

import rclpy
import rclpy.exceptions
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from dp_ros.errors import ConfigError

Params = TypeVar('Params')


def param(default: Any, description: str, minimum: float | None = None, maximum: float | None = None) -> Any:
    """A field of a parameter class; ``minimum`` and ``maximum`` are inclusive and belong to numbers."""
    return dataclasses.field(
        default=default, metadata={'description': description, 'range': (minimum, maximum)}
    )


@dataclass(frozen=True, kw_only=True)
class ProcessParams:
    """How a node's process uses the machine; see scheduling.py."""

    executor: str = param(
        'single',
        "rclpy's 'single' executor, or its experimental 'events'; 'auto': events on the system's time.",
    )
    cpus: str = param(
        '', "Processors that the process may run on, such as '1' or '0-2,5'; empty: all of them."
    )
    fifo_priority: int = param(
        0, 'Real-time priority of all threads (SCHED_FIFO), 1 to 99; 0: none. Needs a permission.', 0, 99
    )


@dataclass(frozen=True, kw_only=True)
class LifecycleParams(ProcessParams):
    """What every lifecycle node of the package takes."""

    autostart: bool = param(
        False, 'Configure and activate without a lifecycle manager; the process ends with 1 where that fails.'
    )
    discovery_s: float = param(
        2.0, 'Wall-clock time that configuring waits for the graph before it looks for a node of its own name.',
        0.0, 30.0,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PolicyParams(LifecycleParams):
    """Parameters of policy_node."""

    checkpoint: str = param('', 'Directory of the checkpoint; a bare name means one that the package ships.')
    binding: str = param(
        '', 'YAML file: which topic carries which field; a bare name means one in config/bindings.'
    )
    device: str = param('cpu', "Torch device, such as 'cpu' or 'cuda:0'.")
    backend: str = param(
        'eager',
        "What computes the ticks: 'eager', 'auto' or a backend whose artefact `dp_ros export` has written.",
    )
    threads: int = param(0, 'CPU threads of a tick; 0 leaves them to the library.', 0, 1024)
    seed: int = param(0, 'Seed of the noise; every ~/reset after the first takes the next one.', 0, 2**31 - 1)
    mode: str = param(
        '',
        "How chunks are made: 'streaming', 'truncated' or 'chunk'; empty takes the setting of the checkpoint.",
    )
    restart_sigma: float = param(
        0.0,
        'Noise on what is left of the last chunk (truncated); 0 takes the setting of the checkpoint.',
        0.0,
        1000.0,
    )
    evaluations_per_tick: int = param(
        0, 'Network evaluations a tick; 0 takes the setting of the checkpoint.', 0, 1000
    )
    instruction: str = param('', 'What to do, in words, until ~/instruction or ~/goal_image says otherwise.')
    goal_free: bool = param(
        False, 'Run without a goal while there is none, where the policy was trained for that.'
    )
    guidance: float = param(
        -1.0,
        'Strength of classifier-free guidance; negative takes the setting of the checkpoint.',
        -1.0,
        100.0,
    )
    engaged_topic: str = param('action_node/engaged', 'Latched Bool of the node that owns motion.')
    max_image_age_s: float = param(0.25, 'Oldest newest image that still leads to a tick.', 0.001, 60.0)
    max_joint_age_s: float = param(
        0.1, 'Oldest newest joint position that still leads to a tick.', 0.001, 60.0
    )
    max_camera_skew_s: float = param(
        0.06, 'Largest distance between the images of one observation.', 0.0, 60.0
    )
    joint_gap_s: float = param(
        0.1, 'Largest gap between two joint positions to interpolate over.', 0.001, 60.0
    )
    max_future_s: float = param(0.1, 'Newest stamp beyond the clock that is still taken.', 0.0, 60.0)
    frozen_camera_s: float = param(
        1.0,
        'A camera that repeats its picture for so long counts as frozen; 0 never, as in simulation.',
        0.0,
        600.0,
    )
    record_observations: str = param(
        '',
        'Directory for what the policy saw: each observation that led to a chunk, as STAMP.npz; empty: none.',
    )


@dataclass(frozen=True, kw_only=True)
class ActionParams(LifecycleParams):
    """Parameters of action_node."""

    checkpoint: str = param(
        '', 'Directory of the checkpoint whose chunks are executed; only its contract is read.'
    )
    binding: str = param(
        '', 'YAML file: the arms, their controllers and limits; a bare name means one that ships.'
    )
    dry_run: bool = param(True, 'Do everything but publish to the controllers.')
    chunk_topic: str = param('policy_node/action_chunk', 'Where the action chunks come from.')
    preview_topic: str = param('policy_node/preview', 'What the policy would do if it were engaged.')
    check_preview: bool = param(
        True,
        'Refuse to engage where the last preview starts too far away; else only the first chunk is looked at.',
    )
    rate_hz: float = param(50.0, 'Windows a second.', 1.0, 1000.0)
    point_s: float = param(0.02, 'Distance of the points of the committed plan.', 0.001, 1.0)
    past_s: float = param(0.04, 'A window starts at least so long before now.', 0.0, 1.0)
    future_s: float = param(0.16, 'A window reaches so far beyond now, before the braking tail.', 0.001, 10.0)
    freeze_s: float = param(0.08, 'The next so many seconds of the plan are never changed.', 0.0, 1.0)
    forward_hz: float = param(
        200.0, 'Commands a second to forward command controllers, where the binding has any.', 1.0, 1000.0
    )
    soft_start_s: float = param(
        1.0, 'Time in which an engagement fades from where the arms are to what the policy wants.', 0.0, 30.0
    )
    chunk_timeout_s: float = param(
        0.5, 'Without a newer chunk for so long the arms brake and hold.', 0.01, 60.0
    )
    sync_timeout_s: float = param(5.0, 'An engagement without a chunk for so long is given up.', 0.01, 600.0)
    max_chunk_age_s: float = param(0.5, 'Oldest observation time of a chunk that is still taken.', 0.01, 60.0)
    max_future_s: float = param(0.1, 'Newest stamp beyond the clock that is still taken.', 0.0, 60.0)
    joint_timeout_s: float = param(
        0.25, 'Without measured joints for so long the arms brake and hold.', 0.01, 60.0
    )
    clock_timeout_s: float = param(
        1.0,
        'While engaged, the ROS clock may stand so long (wall clock) before the arms brake; 0: ever.',
        0.0,
        600.0,
    )
    deadman_timeout_s: float = param(
        0.0, 'Oldest true of ~/deadman with which the arms may move; 0: there is no such switch.', 0.0, 60.0
    )
    publisher_conflict: str = param(
        'error', "Another publisher on a controller's topic: 'error' is a fault, 'warn' only shows it."
    )
    reject_limit: int = param(5, 'So many chunks rejected in a row are a fault.', 1, 1000)
    start_jump_rad: float = param(
        0.15, 'Engaging is refused where the policy wants to start further away, revolute joints.', 0.0, 10.0
    )
    start_jump_m: float = param(
        0.04, 'Engaging is refused where the policy wants to start further away, prismatic joints.', 0.0, 10.0
    )
    rest_tolerance_rad: float = param(
        0.02,
        'Arms measured so near to where they were sent last are taken to stand there, revolute joints.',
        0.0,
        1.0,
    )
    rest_tolerance_m: float = param(
        0.002,
        'Arms measured so near to where they were sent last are taken to stand there, prismatic joints.',
        0.0,
        1.0,
    )
    max_seam_rad: float = param(
        0.5, 'A chunk is rejected that differs more from the plan where it takes over; 0: never.', 0.0, 10.0
    )
    max_seam_m: float = param(0.1, 'The same for prismatic joints.', 0.0, 10.0)
    max_seam_rad_s: float = param(
        10.0,
        'A chunk is rejected whose speed differs more from the plan where it takes over; 0: never.',
        0.0,
        100.0,
    )
    max_seam_m_s: float = param(2.0, 'The same for prismatic joints.', 0.0, 100.0)
    limit_tolerance_rad: float = param(
        0.1,
        'Chunks are rejected, and measured arms a fault, further beyond a position limit than this.',
        0.0,
        10.0,
    )
    limit_tolerance_m: float = param(0.01, 'The same for prismatic joints.', 0.0, 10.0)
    max_speed_ratio: float = param(
        4.0,
        'A chunk is rejected that is so many times too fast; below, it is slowed down.',
        1.0,
        100.0,
    )
    clip_budget: float = param(
        0.2, 'A chunk is rejected where more of its rows lie beyond the position limits.', 0.0, 1.0
    )
    max_deviation_rad: float = param(
        0.5,
        'A chunk is rejected that the plan cannot follow more closely within its limits; 0: never.',
        0.0,
        10.0,
    )
    max_deviation_m: float = param(0.1, 'The same for prismatic joints.', 0.0, 10.0)
    max_tracking_error_rad: float = param(
        0.2, 'Arms that are measured further from what was commanded are a fault; 0: never.', 0.0, 10.0
    )
    max_tracking_error_m: float = param(0.05, 'The same for prismatic joints other than grippers.', 0.0, 10.0)
    max_tracking_error_gripper: float = param(
        0.0,
        'The same for grippers; 0: never, because a gripper that holds something lags.',
        0.0,
        10.0,
    )
    tracking_error_s: float = param(0.3, 'A tracking error counts once it has lasted so long.', 0.0, 60.0)
    start_pose: tuple[float, ...] = param(
        (), "Where ~/go_to_start moves the arms: one number a joint, in the contract's order; empty: nowhere."
    )
    start_pose_by: str = param(
        'windows',
        "How ~/go_to_start moves: 'windows' of our own, or each controller's FollowJointTrajectory 'action'.",
    )
    start_pose_scale: float = param(
        0.2, 'Share of the velocity and acceleration limits that ~/go_to_start uses.', 0.01, 1.0
    )


@dataclass(frozen=True, kw_only=True)
class SimParams(ProcessParams):
    """Parameters of sim_node."""

    task: str = param('aloha_transfer_cube', 'Name of the simulated task.')
    binding: str = param(
        'aloha_sim', 'YAML file: which topic carries which field; a bare name means one that ships.'
    )
    first_seed: int = param(0, 'Seed of the first episode; every reset takes the next.', 0, 2**31 - 1)
    realtime: bool = param(
        False, 'Run at wall-clock speed whatever the nodes do, instead of in lockstep with them.'
    )
    tick_s: float = param(
        0.0, "Lockstep: time between two chunks; 0 takes that of the task's contract.", 0.0, 60.0
    )
    camera_hz: float = param(
        25.0, 'Images a second of simulated time; a divisor of the control rate.', 0.1, 1000.0
    )
    wait_s: float = param(2.0, 'Lockstep: longest wait for a chunk or a window, wall clock.', 0.01, 600.0)
    teleoperated: bool = param(
        False,
        'Lockstep with a leader instead of a policy: windows name in header.frame_id the joint stamp that they answer.',
    )
    shuffle_seed: int = param(
        0, 'Seed of the order of the names in /joint_states, as drivers may order them.', 0
    )
    discovery_s: float = param(
        2.0, 'Wall-clock time to look for a node of the same name before starting.', 0.0, 30.0
    )
    engaged_topic: str = param('action_node/engaged', 'Latched Bool: lockstep waits only while this is true.')
    chunk_topic: str = param('policy_node/action_chunk', 'Action chunks that lockstep waits for.')
    preview_topic: str = param(
        'policy_node/preview', "The policy's answers to pictures while nobody is engaged."
    )


def declare(node: Node, schema: type[Params]) -> Params:
    """Declare every field of ``schema`` on the node and return the values that ROS settled on.

    Raises:
        ConfigError: a value of the wrong type or out of its range; the message names every one of them.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for field in dataclasses.fields(schema):  # type: ignore[arg-type]
        try:
            values[field.name] = _declared(node, field)
        except rclpy.exceptions.InvalidParameterTypeException as error:
            problems.append(f'{field.name}: {error}')
        except rclpy.exceptions.InvalidParameterValueException as error:
            problems.append(f'{field.name}: {error}')
    legal = sorted(f.name for f in dataclasses.fields(schema))  # type: ignore[arg-type]
    unknown = sorted(set(overrides(node)) - {*legal, *_ROS_OWN})
    if unknown:
        problems.append(f'no such parameters: {unknown}; legal: {legal}')
    if problems:
        raise ConfigError(f'{node.get_fully_qualified_name()}: ' + '; '.join(problems))
    return schema(**values)


def _declared(node: Node, field: 'dataclasses.Field[Any]') -> Any:
    if field.default != ():
        return node.declare_parameter(field.name, field.default, descriptor(field)).value
    # ROS cannot tell the type of an empty list, and leaves a parameter unset that a file says is empty.
    types = rclpy.Parameter.Type
    kind = types.STRING_ARRAY if field.type == tuple[str, ...] else types.DOUBLE_ARRAY
    return tuple(node.declare_parameter(field.name, kind, descriptor(field)).value or ())


_ROS_OWN = ('use_sim_time', 'start_type_description_service')


def overrides(node: Node) -> dict[str, Any]:
    """Values that the command line and parameter files hold for this node, declared or not."""
    # rclpy offers no public way to see what was set but not declared, which is how a misspelt key looks.
    return dict(node._parameter_overrides)


def descriptor(field: 'dataclasses.Field[Any]') -> ParameterDescriptor:
    """The ROS descriptor of one field of a parameter class."""
    out = ParameterDescriptor(description=field.metadata['description'], read_only=True)
    minimum, maximum = field.metadata['range']
    if minimum is None and maximum is None:
        return out
    if isinstance(field.default, float):
        out.floating_point_range = [
            FloatingPointRange(
                from_value=float('-inf') if minimum is None else float(minimum),
                to_value=float('inf') if maximum is None else float(maximum),
            )
        ]
    else:
        low = -(2**63) if minimum is None else int(minimum)
        high = 2**63 - 1 if maximum is None else int(maximum)
        out.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
    return out
