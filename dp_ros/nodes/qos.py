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

# A subscriber that takes what comes connects to reliable and to best-effort publishers. 50 joint states survive
# a stall of 100 ms at 500 Hz; 5 images are more than alignment looks at.
JOINTS = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
IMAGES = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)

# Publishers of sensors offer more than most subscribers ask for.
SENSOR_OUT = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
STATUS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
CLOCK = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
