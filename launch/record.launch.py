# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""record_node beside a robot that runs. Episodes start and end by its services; keys need `ros2 run`.

ros2 launch dp_ros record.launch.py binding:=/path/to/binding.yaml out:=/data/bags instruction:='stack the cups'
ros2 service call /record_node/start std_srvs/srv/Trigger
ros2 service call /record_node/success std_srvs/srv/Trigger
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, Shutdown
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = (
    ('binding', 'aloha_sim', 'YAML file that says which topic carries what, or the name of a shipped one.'),
    ('contract', '', 'contract.json or a checkpoint: checked against the binding, kept in the bag.'),
    ('namespace', '', 'Namespace of the node, and of all topics of the binding without a leading slash.'),
    ('out', 'bags', 'Directory in which every session makes a bag of its own.'),
    ('name', 'episodes', 'First part of the name of the bag.'),
    ('operator', '', 'Who records.'),
    ('instruction', '', 'What the robot is to do, in words.'),
    ('images', 'raw', 'raw, or jpeg: compressed on the way into the bag.'),
    ('between_episodes', 'false', 'true: record between the episodes as well.'),
    ('use_sim_time', 'false', 'Take the time from /clock.'),
    ('log_level', 'info', 'Log level of the node.'),
)


def generate_launch_description() -> LaunchDescription:
    """The node and its arguments; when it gives up, for example on a full disk, the launch ends and says so."""
    recorder = Node(
        package='dp_ros',
        executable='record_node',
        name='record_node',
        namespace=LaunchConfiguration('namespace'),
        parameters=[
            PathJoinSubstitution([FindPackageShare('dp_ros'), 'config', 'record_node.yaml']),
            {
                'binding': _typed('binding', str),
                'contract': _typed('contract', str),
                'out': _typed('out', str),
                'name': _typed('name', str),
                'operator': _typed('operator', str),
                'instruction': _typed('instruction', str),
                'images': _typed('images', str),
                'between_episodes': _typed('between_episodes', bool),
                'use_sim_time': _typed('use_sim_time', bool),
            },
        ],
        ros_arguments=['--log-level', LaunchConfiguration('log_level')],
        output='screen',
        emulate_tty=True,
        on_exit=Shutdown(),
    )
    declared = [DeclareLaunchArgument(n, default_value=d, description=text) for n, d, text in ARGUMENTS]
    return LaunchDescription([*declared, recorder])


def _typed(name, kind):
    """An argument with its type: a name that looks like a number must stay a string."""
    return ParameterValue(LaunchConfiguration(name), value_type=kind)
