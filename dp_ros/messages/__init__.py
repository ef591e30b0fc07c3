# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""ROS messages to numpy and back, by duck typing: live messages, bags' messages and plain objects alike.

Nothing here imports ROS. Functions named ``fill_*`` write into a message instance that the caller made.
"""
