# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""From streams of camera images and joint states to one aligned observation. Numpy and OpenCV only."""
