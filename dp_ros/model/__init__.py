# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""F, the raw network: embeddings, attention, blocks, encoders, and the whole on one page (network.py).

Shape suffixes: B batch, O observation steps, T action tokens, N context tokens, D width, H heads, P values of
an action token (actions per token times action dimensions), S proprioceptive dimensions, C channels.
"""
