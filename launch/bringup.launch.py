# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A robot: policy_node and action_node, configured and activated. Nothing moves before ~/engage is called.

ros2 launch dp_ros bringup.launch.py checkpoint:=/path/to/checkpoint binding:=/path/to/binding.yaml dry_run:=false
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, RegisterEventHandler, Shutdown
from launch.conditions import IfCondition
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import Transition

ARGUMENTS = (
    ('checkpoint', 'aloha_transfer_cube', 'Directory of a checkpoint, or the name of a shipped one.'),
    ('binding', 'aloha_sim', 'YAML file that says which topic carries what, or the name of a shipped one.'),
    ('device', 'cpu', "Torch device of the policy, such as 'cuda:0'."),
    ('backend', 'eager', 'What computes the ticks: eager, auto, or what `dp_ros export` wrote.'),
    ('mode', '', 'How chunks are made: streaming, truncated or chunk; empty: as the checkpoint says.'),
    ('instruction', '', 'What to do, in words, for a policy that takes instructions.'),
    ('namespace', '', 'Namespace of both nodes.'),
    ('dry_run', 'true', 'true: do everything but command the controllers.'),
    ('start_jump_rad', '0.15', 'Engaging is refused where the policy wants to start further away.'),
    ('soft_start_s', '1.0', 'Time in which an engagement fades from the measured pose to the policy.'),
    (
        'max_tracking_error_rad',
        '0.2',
        'Arms that are measured further from what was commanded are a fault; 0 never.',
    ),
    (
        'clock_timeout_s',
        '1.0',
        'The ROS clock may stand so long, wall clock, while the arms are engaged; 0 ever.',
    ),
    ('deadman_timeout_s', '0.0', 'Oldest true of ~/deadman with which the arms may move; 0: no such switch.'),
    ('publisher_conflict', 'error', "Another publisher on a controller's topic: error (a fault) or warn."),
    (
        'engaged_topic',
        'action_node/engaged',
        'Latched Bool: while true the policy streams, else it previews.',
    ),
    ('use_sim_time', 'false', 'Take the time from /clock.'),
    ('frozen_camera_s', '1.0', 'A camera that repeats its picture for so long counts as frozen; 0 never.'),
    (
        'executor',
        'single',
        "rclpy's single executor, its events executor, or auto: see doc/how-to/real_time.md.",
    ),
    ('policy_cpus', '', "Processors of policy_node, such as '1' or '2-5'; empty: all of them."),
    ('action_cpus', '', 'The same for action_node.'),
    ('policy_fifo_priority', '0', 'SCHED_FIFO for policy_node, 1 to 99; 0: none. Needs a permission.'),
    ('action_fifo_priority', '0', 'The same for action_node; above that of policy_node.'),
    ('autostart', 'true', 'Configure and activate both nodes.'),
    ('log_level', 'info', 'Log level of both nodes.'),
)


def generate_launch_description() -> LaunchDescription:
    """Both nodes, their arguments, and their transitions."""
    common = {
        'checkpoint': _typed('checkpoint', str),
        'binding': _typed('binding', str),
        'use_sim_time': _typed('use_sim_time', bool),
        'executor': _typed('executor', str),
    }
    policy = _node(
        'policy_node',
        {
            'device': _typed('device', str),
            'backend': _typed('backend', str),
            'mode': _typed('mode', str),
            'instruction': _typed('instruction', str),
            'engaged_topic': _typed('engaged_topic', str),
            'frozen_camera_s': _typed('frozen_camera_s', float),
            'cpus': ParameterValue(LaunchConfiguration('policy_cpus'), value_type=str),
            'fifo_priority': ParameterValue(LaunchConfiguration('policy_fifo_priority'), value_type=int),
        },
        common,
    )
    # Without action_node nobody brakes; without policy_node action_node does.
    action = _node(
        'action_node',
        {
            'dry_run': _typed('dry_run', bool),
            'start_jump_rad': _typed('start_jump_rad', float),
            'soft_start_s': _typed('soft_start_s', float),
            'max_tracking_error_rad': _typed('max_tracking_error_rad', float),
            'clock_timeout_s': _typed('clock_timeout_s', float),
            'deadman_timeout_s': _typed('deadman_timeout_s', float),
            'publisher_conflict': _typed('publisher_conflict', str),
            'cpus': ParameterValue(LaunchConfiguration('action_cpus'), value_type=str),
            'fifo_priority': ParameterValue(LaunchConfiguration('action_fifo_priority'), value_type=int),
        },
        common,
        on_exit=Shutdown(),
    )
    declared = [DeclareLaunchArgument(n, default_value=d, description=text) for n, d, text in ARGUMENTS]
    return LaunchDescription([*declared, *_autostart(policy), *_autostart(action), policy, action])


def _node(name, parameters, common, **keywords):
    return LifecycleNode(
        package='dp_ros',
        executable=name,
        name=name,
        namespace=LaunchConfiguration('namespace'),
        parameters=[
            PathJoinSubstitution([FindPackageShare('dp_ros'), 'config', f'{name}.yaml']),
            {**common, **parameters},
        ],
        ros_arguments=['--log-level', LaunchConfiguration('log_level')],
        output='screen',
        emulate_tty=True,
        **keywords,
    )


def _typed(name, kind):
    """An argument with its type: '0' must stay a float, and a path that looks like a number a string."""
    return ParameterValue(LaunchConfiguration(name), value_type=kind)


def _autostart(node):
    """Configure at once, activate when configured."""
    asked = IfCondition(LaunchConfiguration('autostart'))
    activate = EmitEvent(event=_transition(node, Transition.TRANSITION_ACTIVATE), condition=asked)
    return [
        RegisterEventHandler(
            OnStateTransition(
                target_lifecycle_node=node,
                start_state='configuring',
                goal_state='inactive',
                entities=[activate],
            )
        ),
        EmitEvent(event=_transition(node, Transition.TRANSITION_CONFIGURE), condition=asked),
    ]


def _transition(node, transition):
    return ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition)
