# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The one tree of errors.

A message says what is wrong, where (file, key path, joint), and what would be legal. Command-line tools print
the message and exit with 2; nodes refuse the transition and log it.
"""


class DpRosError(Exception):
    """Base of every error that dp_ros raises on purpose."""


class ConfigError(DpRosError):
    """A YAML or JSON file, or a parameter, holds something illegal."""


class ContractError(DpRosError):
    """A contract is malformed, or data does not satisfy it."""


class MismatchError(ContractError):
    """A checkpoint does not fit this robot; the message lists every difference."""


class CheckpointError(DpRosError):
    """A checkpoint is missing a file, is damaged, or fails its self-test."""


class BackendError(DpRosError):
    """A backend of the tick is unknown, cannot run here, has no fitting artefact, or computes something else."""


class MessageError(DpRosError):
    """A message cannot be decoded: unknown encoding, wrong shape, missing joints, non-finite values."""


class StaleObservationError(DpRosError):
    """An observation cannot be assembled: a stream is silent, stale, skewed or from the future."""


class GoalError(DpRosError):
    """A goal that the policy does not take, an instruction that nobody knows, or no goal where one is needed."""


class ChunkError(DpRosError):
    """An action chunk fails a gate; ``gate`` names it."""

    def __init__(self, gate: str, message: str):
        super().__init__(f'{gate}: {message}')
        self.gate = gate


class TrajectoryRejected(DpRosError):
    """The (modelled) joint trajectory controller refuses a message, as ros2_control would."""


class StoreError(DpRosError):
    """An episode store is missing, damaged, of another contract, or cannot be written."""


class BagError(DpRosError):
    """A bag is missing, damaged, or cannot be written; names bag, and topic and stamp where there are any."""


class KnownBagError(BagError):
    """The content of a bag is imported already, from it or from another one."""


class TaskError(DpRosError):
    """An unknown task, or a simulator that cannot start."""
