# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Where names meet tensors: normaliser, inputs, policies, checkpoints."""
