# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The way from chunks to controllers: gates, committed plan, brake, stamped window. Numpy only."""
