# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The simulated robot, and policy_node and action_node to drive it.

ros2 launch dp_ros sim.launch.py
ros2 service call /action_node/engage std_srvs/srv/SetBool '{data: true}'

The nodes run in lockstep with the simulation, so sim_node is the clock of all of them. sim_node publishes images of
900 KiB; config/fastdds_large_images.xml gives them room in shared memory where the middleware is Fast DDS.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = (
    ('checkpoint', 'aloha_transfer_cube', 'Directory of a checkpoint, or the name of a shipped one.'),
    ('binding', 'aloha_sim', 'YAML file that says which topic carries what, or the name of a shipped one.'),
    ('device', 'cpu', "Torch device of the policy, such as 'cuda:0'."),
    ('mode', '', 'How chunks are made: streaming, truncated or chunk; empty: as the checkpoint says.'),
    ('instruction', '', 'What to do, in words, for a policy that takes instructions.'),
    ('namespace', '', 'Namespace of all nodes.'),
    ('dry_run', 'false', 'true: do everything but command the controllers.'),
    ('deadman_timeout_s', '0.0', 'Oldest true of ~/deadman with which the arms may move; 0: no such switch.'),
    ('publisher_conflict', 'error', "Another publisher on a controller's topic: error (a fault) or warn."),
    ('task', 'aloha_transfer_cube', 'Simulated task.'),
    ('first_seed', '0', 'Seed of the first episode.'),
    ('realtime', 'false', 'true: wall-clock speed instead of lockstep.'),
    ('log_level', 'info', 'Log level of all nodes.'),
)
# Where the simulated robot differs from a real one.
SIMULATED = {
    # The demonstrations command up to 0.2 rad ahead of what the simulated servos measure.
    'start_jump_rad': '0.3',
    'max_tracking_error_rad': '0.4',
    # In lockstep the clock stands while the policy computes.
    'clock_timeout_s': '10.0',
}
PASSED_ON = (
    'checkpoint', 'binding', 'device', 'mode', 'instruction', 'namespace', 'dry_run', 'deadman_timeout_s',
    'publisher_conflict', 'log_level',
)  # fmt: skip


def generate_launch_description() -> LaunchDescription:
    """The bringup of a robot on simulated time, and the robot."""
    share = FindPackageShare('dp_ros')
    bringup = IncludeLaunchDescription(
        PythonLaunchDescriptionSource([PathJoinSubstitution([share, 'launch', 'bringup.launch.py'])]),
        launch_arguments={
            **{name: LaunchConfiguration(name) for name in PASSED_ON},
            'use_sim_time': 'true',
            # Rendered pictures carry no noise: equal ones do not mean a frozen camera.
            'frozen_camera_s': '0.0',
            **SIMULATED,
        }.items(),
    )
    robot = Node(
        package='dp_ros',
        executable='sim_node',
        name='sim_node',
        namespace=LaunchConfiguration('namespace'),
        parameters=[
            PathJoinSubstitution([share, 'config', 'sim_node.yaml']),
            {
                'task': _typed('task', str),
                'binding': _typed('binding', str),
                'first_seed': _typed('first_seed', int),
                'realtime': _typed('realtime', bool),
            },
        ],
        ros_arguments=['--log-level', LaunchConfiguration('log_level')],
        output='screen',
        emulate_tty=True,
        additional_env={
            name: PathJoinSubstitution([share, 'config', 'fastdds_large_images.xml'])
            for name in ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
        },
        on_exit=Shutdown(),
    )
    declared = [DeclareLaunchArgument(n, default_value=d, description=text) for n, d, text in ARGUMENTS]
    return LaunchDescription([*declared, robot, bringup])


def _typed(name, kind):
    return ParameterValue(LaunchConfiguration(name), value_type=kind)
