# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0
