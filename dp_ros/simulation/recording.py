# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a demonstration is made of: the robot as a policy sees it, and what the expert says there."""

from dataclasses import replace

import numpy as np

from dp_ros.data.episode import Episode
from dp_ros.observation.image import crop_resize
from dp_ros.simulation.robot import SimulatedRobot


class Recording:
    """One episode of a robot, observed once a period of its contract."""

    def __init__(self, robot: SimulatedRobot) -> None:
        self._robot = robot
        contract = robot.contract
        self._proprio: list[np.ndarray] = []
        self._privileged: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []
        self._looked: list[bool] = []
        self._images: dict[str, list[np.ndarray]] = {c.name: [] for c in contract.cameras}
        self._vectors: dict[str, list[np.ndarray]] = {v.name: [] for v in contract.vectors}

    def observe(self, label: np.ndarray, look: bool = True) -> None:
        """The robot as it is now, before a step, with the expert's command (A,) for it, rad or m.

        Pictures cost most of an episode's time: without ``look`` none is drawn, and the last one is what is seen.
        """
        robot = self._robot
        look = look or not self._labels
        self._looked.append(look)
        self._proprio.append(robot.joint_positions())
        self._privileged.append(robot.privileged())
        self._labels.append(label)
        for camera in robot.contract.cameras if look else ():
            self._images[camera.name].append(crop_resize(robot.render(camera.name), camera))
        for name, values in robot.vectors().items():
            self._vectors[name].append(values)

    def episode(self, metadata: dict[str, str]) -> Episode:
        """All of it."""
        contract = self._robot.contract
        episode = Episode.regular(
            contract.timing,
            stamps_ns=np.arange(len(self._proprio), dtype=np.int64) * contract.timing.period_ns,
            proprio=np.array(self._proprio, np.float32),
            actions=np.array(self._labels, np.float32),
            images={name: np.array(frames) for name, frames in self._images.items()},
            vectors={name: np.array(values, np.float32) for name, values in self._vectors.items()},
            privileged=np.array(self._privileged, np.float32),
            metadata=metadata,
        )
        frame = (np.cumsum(self._looked) - 1).astype(np.int32)
        return replace(episode, image_index={name: frame[seen] for name, seen in episode.image_index.items()})
