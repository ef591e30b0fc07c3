# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Streaming diffusion-transformer policies that move real robots through ROS 2."""

__version__ = '0.1.0'
