# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Denoiser, sigmas, sampler: three nouns, plus the rolling buffer that streams.

Everything takes one sigma per action token. Shape suffixes: B batch, T action tokens, P values of a token.
"""
