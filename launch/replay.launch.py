# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A bag through policy_node and action_node in dry run; ends with the bag, and with a report of the chunks.

ros2 launch dp_ros replay.launch.py bag:=/path/to/bag checkpoint:=/path/to/checkpoint binding:=/path/to/binding.yaml

player:=ros2 is ``ros2 bag play``; player:=dp_ros is ``dp_ros play``, which can wait for each chunk (lockstep:=true).
"""

import signal

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    RegisterEventHandler,
    Shutdown,
)
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessExit
from launch.events import matches_action
from launch.events.process import SignalProcess
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, PythonExpression
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = (
    ('bag', '', 'Directory of the bag, or one storage file.'),
    ('checkpoint', 'aloha_transfer_cube', 'Directory of a checkpoint, or the name of a shipped one.'),
    ('binding', 'aloha_sim', 'YAML file that says which topic carries what, or the name of a shipped one.'),
    ('out', 'out/replay', 'Directory of the report.'),
    ('title', '', "Name of the policy in the report; empty: the contract's."),
    ('player', 'ros2', 'Who plays the bag: ros2 (ros2 bag play) or dp_ros (dp_ros play).'),
    ('rate', '1.0', 'Seconds of the bag a second.'),
    (
        'lockstep',
        'false',
        'player:=dp_ros only: wait for each chunk, so that they are those of dp_ros replay.',
    ),
    ('instruction', '', 'Of episodes for which the bag has none, for a policy that takes instructions.'),
    ('device', 'cpu', "Torch device of the policy, such as 'cuda:0'."),
    ('frozen_camera_s', '1.0', 'As of policy_node; 0 for bags of a simulation.'),
    ('start_jump_rad', '0.15', 'As of action_node.'),
    ('namespace', '', 'Namespace of all nodes, and of the topics of the binding.'),
    ('log_level', 'info', 'Log level of all nodes.'),
)
PASSED_ON = ('checkpoint', 'binding', 'device', 'namespace', 'frozen_camera_s', 'start_jump_rad', 'log_level')
# The evaluator says that the arms are engaged, so that the policy streams from the first message on; the clock stands
# while a player is paused or waits; and the bag holds what commanded the robot.
REPLAYED = {
    'engaged_topic': 'replay_evaluator/engaged',
    'dry_run': 'true',
    'use_sim_time': 'true',
    'clock_timeout_s': '0.0',
    'publisher_conflict': 'warn',
}
# What these nodes said when the bag was recorded; now they say it themselves.
OURS = (
    '/policy_node/action_chunk', '/policy_node/preview', '/policy_node/latency', '/action_node/state',
    '/action_node/engaged', '/action_node/preview', '/action_node/executed', '/diagnostics',
)  # fmt: skip
# The evaluator writes the report, and maybe a video, after it was asked to end.
REPORT_S = '600'


def generate_launch_description() -> LaunchDescription:
    """Both nodes on the bag's clock, the evaluator, and one of two players, whose end is the end of all."""
    share = FindPackageShare('dp_ros')
    nodes = IncludeLaunchDescription(
        PythonLaunchDescriptionSource([PathJoinSubstitution([share, 'launch', 'bringup.launch.py'])]),
        launch_arguments={
            **{name: LaunchConfiguration(name) for name in PASSED_ON},
            **REPLAYED,
        }.items(),
    )
    evaluator = _node(
        'replay_evaluator',
        {
            'bag': _typed('bag', str),
            'out': _typed('out', str),
            'title': _typed('title', str),
            'use_sim_time': True,
            # Both players begin paused: the evaluator lets them go on once the policy is ready.
            'player': _chosen("'play_node' if ", " == 'dp_ros' else '/rosbag2_player'", 'player', str),
            'resets': _chosen('', " != 'true'", 'lockstep', bool),
            'instruction': _typed('instruction', str),
        },
        on_exit=Shutdown(),
        sigterm_timeout=REPORT_S,
        sigkill_timeout=REPORT_S,
    )
    own = _node(
        'play_node',
        {
            'bag': _typed('bag', str),
            'rate': _typed('rate', float),
            'lockstep': _typed('lockstep', bool),
            'frozen_camera_s': _typed('frozen_camera_s', float),
            'instruction': _typed('instruction', str),
            'paused': True,
        },
        condition=_plays('dp_ros'),
        additional_env=_room_for_images(share),
    )
    remapped = [f'{topic}:=/recorded{topic}' for topic in OURS]
    theirs = ExecuteProcess(
        cmd=[
            *('ros2', 'bag', 'play', LaunchConfiguration('bag'), '--clock', '200', '--start-paused'),
            *('--rate', LaunchConfiguration('rate'), '--remap', *remapped),
        ],
        condition=_plays('ros2'),
        additional_env=_room_for_images(share),
        output='screen',
    )
    declared = [DeclareLaunchArgument(n, default_value=d, description=text) for n, d, text in ARGUMENTS]
    over = [_when_over(player, evaluator) for player in (own, theirs)]
    return LaunchDescription([*declared, *over, nodes, evaluator, own, theirs])


def _node(name, parameters, **keywords):
    common = {'checkpoint': _typed('checkpoint', str), 'binding': _typed('binding', str)}
    return Node(
        package='dp_ros',
        executable=name,
        name=name,
        namespace=LaunchConfiguration('namespace'),
        parameters=[{**common, **parameters}],
        ros_arguments=['--log-level', LaunchConfiguration('log_level')],
        output='screen',
        emulate_tty=True,
        **keywords,
    )


def _when_over(player, evaluator):
    """To be asked to end tells the evaluator that the bag is over; with it everything ends."""
    ask = SignalProcess(signal_number=signal.SIGINT, process_matcher=matches_action(evaluator))
    return RegisterEventHandler(OnProcessExit(target_action=player, on_exit=[EmitEvent(event=ask)]))


def _plays(name):
    return IfCondition(PythonExpression(["'", LaunchConfiguration('player'), f"' == '{name}'"]))


def _chosen(before, after, argument, kind):
    """A parameter that follows from an argument: a Python expression around its text."""
    return ParameterValue(
        PythonExpression([before, "'", LaunchConfiguration(argument), "'", after]), value_type=kind
    )


def _typed(name, kind):
    """An argument with its type: '0' must stay a float, and a path that looks like a number a string."""
    return ParameterValue(LaunchConfiguration(name), value_type=kind)


def _room_for_images(share):
    """Pictures of a megabyte need it in shared memory, where the middleware is Fast DDS."""
    profile = PathJoinSubstitution([share, 'config', 'fastdds_large_images.xml'])
    return dict.fromkeys(('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'), profile)
