# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Qualities of service, named after what travels (REP-2003). A wrong one does not warn: it silently does not match."""

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

# Newest wins: a command that waited behind another one is already wrong.
COMMAND = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)

# A late joiner gets the last value: states, results.
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)

# 50 joint states survive a stall of 100 ms at 500 Hz; alignment never looks at more than 5 images.
JOINTS_DEPTH, IMAGES_DEPTH = 50, 5


def sensor(name: str, depth: int) -> QoSProfile:
    """Subscriber's profile by its name in a binding: 'sensor_data' (best effort) or 'reliable'.

    A best-effort subscriber connects to any publisher; a reliable one only to a reliable publisher.
    """
    best_effort = name == 'sensor_data'
    reliability = ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE
    return QoSProfile(depth=depth, reliability=reliability)


# As a joint trajectory controller subscribes.
CONTROLLER_IN = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)

# Publishers of sensors offer what any subscriber may ask for.
SENSOR_OUT = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
# For recorders, which may lag behind but must miss nothing.
RECORD_OUT = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)
STATUS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
CLOCK = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
# Switches that people press, from any reliable publisher, latching or not: a short press counts as well.
SWITCH = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
SWITCH_LATCHED = QoSProfile(
    depth=50, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
# For people to look at: what got lost is drawn anew at once.
VIEW = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
