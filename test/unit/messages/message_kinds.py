# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The kinds of message objects that decoding must read: plain ones, a bag's, and live ones where ROS is
there."""

import importlib
from array import array
from types import SimpleNamespace

import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

BAG = get_typestore(Stores.ROS2_JAZZY).types


def bag_type(name):
    return BAG[name]


def live_type(package, name):
    """The message class of a sourced or installed ROS 2."""
    return getattr(pytest.importorskip(f'{package}.msg', reason='no ROS 2 messages here'), name)


def time(sec=0, nanosec=0):
    return SimpleNamespace(sec=sec, nanosec=nanosec)


def header(stamp_ns=0, frame_id=''):
    return SimpleNamespace(stamp=time(*divmod(stamp_ns, 10**9)), frame_id=frame_id)


def bag_header(stamp_ns=0, frame_id=''):
    stamp = bag_type('builtin_interfaces/msg/Time')(*divmod(stamp_ns, 10**9))
    return bag_type('std_msgs/msg/Header')(stamp, frame_id)


def bag_point():
    none = np.zeros(0)
    duration = bag_type('builtin_interfaces/msg/Duration')(0, 0)
    return bag_type('trajectory_msgs/msg/JointTrajectoryPoint')(none, none, none, none, duration)


def plain_point():
    return SimpleNamespace(positions=[], velocities=[], accelerations=[], effort=[], time_from_start=time())


def empty_trajectory(kind):
    """An empty JointTrajectory of a kind, and the factory of its points."""
    if kind == 'bag':
        return bag_type('trajectory_msgs/msg/JointTrajectory')(bag_header(), [], []), bag_point
    if kind == 'live':
        made = live_type('trajectory_msgs', 'JointTrajectory')
        return made(), importlib.import_module('trajectory_msgs.msg').JointTrajectoryPoint
    return SimpleNamespace(header=header(), joint_names=[], points=[]), plain_point


def empty_image(kind):
    """An empty Image of a kind."""
    if kind == 'bag':
        return bag_type('sensor_msgs/msg/Image')(bag_header(), 0, 0, '', 0, 0, np.zeros(0, np.uint8))
    if kind == 'live':
        return live_type('sensor_msgs', 'Image')()
    return SimpleNamespace(header=header(), height=0, width=0, encoding='', is_bigendian=0, step=0, data=b'')


def empty_joint_state(kind):
    """An empty JointState of a kind."""
    if kind == 'bag':
        none = np.zeros(0)
        return bag_type('sensor_msgs/msg/JointState')(bag_header(), [], none, none, none)
    if kind == 'live':
        return live_type('sensor_msgs', 'JointState')()
    return SimpleNamespace(header=header(), name=[], position=[], velocity=[], effort=[])


def as_field(kind, data):
    """Bytes as the ``data`` field of a kind."""
    return {'bag': np.frombuffer(data, np.uint8), 'live': array('B', data), 'plain': bytes(data)}[kind]


KINDS = ['plain', 'bag', 'live']
