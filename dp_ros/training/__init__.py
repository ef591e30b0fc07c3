# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Training: one loop, one loss, resumable at any moment, the same on one process or many."""
