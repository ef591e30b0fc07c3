# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Rosbag2 files without ROS: what was recorded, in the order in which it was recorded."""
