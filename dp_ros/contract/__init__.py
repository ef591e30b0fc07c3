# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a checkpoint promises: fields, embodiment, units, timing. Pure data; it names no topic and no tensor."""

from dp_ros.contract.camera import Camera
from dp_ros.contract.contract import Contract
from dp_ros.contract.embodiment import Arm, Embodiment, Joint
from dp_ros.contract.timing import Timing
from dp_ros.contract.vector import Vector

__all__ = ['Arm', 'Camera', 'Contract', 'Embodiment', 'Joint', 'Timing', 'Vector']
