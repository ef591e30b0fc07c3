# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The parameters of record_node."""

from dataclasses import dataclass

from dp_ros.nodes.params import param


@dataclass(frozen=True, kw_only=True)
class RecordParams:
    """Parameters of record_node."""

    binding: str = param(
        '', 'YAML file: which topics are recorded; a bare name means one in config/bindings.'
    )
    contract: str = param(
        '', 'What the bag is checked against and carries: contract.json, or a checkpoint; empty: nothing.'
    )
    out: str = param('bags', 'Directory in which every session makes a bag of its own.')
    name: str = param('episodes', 'First part of the name of the bag; the second is the time.')
    operator: str = param('', 'Who records; stands in every episode.')
    instruction: str = param('', 'What the robot is to do, in words; ~/instruction changes it.')
    extra_topics: tuple[str, ...] = param((), 'Topics to record beside those of the binding.')
    images: str = param('raw', "Raw images are written as they come ('raw') or compressed ('jpeg').")
    jpeg_quality: int = param(95, 'Quality of the JPEGs.', 1, 100)
    between_episodes: bool = param(False, 'Record between the episodes as well.')
    max_episode_s: float = param(600.0, 'An episode that lasts longer is stopped; 0: never.', 0.0, 86400.0)
    min_free_mb: float = param(500.0, 'With less room on the disk recording ends in good order.', 0.0, 1e9)
    queue_mb: float = param(256.0, 'What waits for the disk; what does not fit is dropped.', 1.0, 1e6)
    writer: str = param(
        'auto', "Who writes the bag: 'rosbag2_py', 'rosbags', or 'auto': the first where it is installed."
    )
    keyboard: bool = param(False, 'Listen to keys and show a status line, where there is a terminal.')
    discovery_s: float = param(
        2.0, 'Wall-clock time to look for a node of the same name before starting.', 0.0, 30.0
    )
