# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""From the messages of one episode to its arrays, by the code that makes the live node's observations."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from dp_ros.bags.storage import at
from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding
from dp_ros.data.episode import Episode
from dp_ros.errors import StaleObservationError
from dp_ros.observation.command_stream import CommandStream
from dp_ros.observation.intake import Intake
from dp_ros.observation.limits import ObservationLimits
from dp_ros.observation.observation import Observation
from dp_ros.observation.observation_buffer import ObservationBuffer

# Commands are stored as points so far apart: lines between them are off by a * dt^2 / 8, 25 urad at 8 rad/s^2.
COMMAND_STEP_NS = 5_000_000
# A longer silence of the observations ends an episode: the curve of commands means nothing across it.
LONGEST_GAP_NS = 1_000_000_000
UNCOMMANDED = 'before the first or after the last command'


class EpisodeBuilder:
    """Collects observations at every t_obs that the cameras give, each distinct frame once.

    Frames go to scratch files, so that memory does not grow with an episode's length.

    Args:
        contract, binding, limits: as of the live node.
        scratch: a folder for the frames; the caller removes it.

    Attributes:
        intake: takes the messages of sensors.
        commands: takes those of command topics.
        refused: why observations could not be made, with the first stamp of each kind, and their number.
        notes: where an episode had to be ended early.
    """

    def __init__(self, contract: Contract, binding: Binding, limits: ObservationLimits, scratch: Path):
        self.contract, self._scratch = contract, scratch
        self.buffer = ObservationBuffer(contract, limits)
        self.intake = Intake(contract, binding, self.buffer)
        self.refused: Counter[str] = Counter()
        self._kinds: dict[str, str] = {}
        self.notes: list[str] = []
        self._binding = binding
        self._finished: list[Episode] = []
        self._parts = 0
        self._newest_ns: int | None = None
        self._waiting: dict[int, str] = {}
        self._stamps: list[int] = []
        self._proprio: list[np.ndarray] = []
        self._begin()

    def observe(self, log_ns: int) -> None:
        """Look whether the newest message of a sensor completed an observation; as the live node does after each.

        Raises:
            MessageError: an image that it needs cannot be decoded.
        """
        stamp_ns = self.buffer.newest_observation_ns()
        if stamp_ns is None or stamp_ns == self._newest_ns:
            return
        try:
            observation = self.buffer.observe(log_ns)
        except StaleObservationError as error:
            self._waiting[stamp_ns] = str(error)
            return
        self._waiting.pop(stamp_ns, None)
        before = self._newest_ns
        if before is not None and not 0 < stamp_ns - before <= LONGEST_GAP_NS:
            step = (stamp_ns - before) / 1e9
            what = (
                f'the clock was set back by {-step:.2f} s'
                if step < 0
                else f'{step:.2f} s without observations'
            )
            self.notes.append(f'{what} at {at(before)}: a new episode begins there')
            self._end_part(before)
        self._newest_ns = stamp_ns
        self._add(observation, log_ns)

    def interrupt(self, log_ns: int) -> None:
        """What comes from here on does not hang together with what was before: the recorder's clock was set back."""
        if self._newest_ns is not None:
            self.notes.append(
                f"the recorder's clock was set back before {at(log_ns)}: a new episode begins there"
            )
        self._end_part(log_ns)
        self.buffer.clear()

    def finish(self, stop_ns: int) -> Iterator[Episode]:
        """The episodes, usually one; nothing is known of commands from ``stop_ns`` on. The builder is empty again."""
        self._end_part(stop_ns)
        self.buffer.clear()
        self._kinds = {}
        finished, self._finished = self._finished, []
        return iter(finished)

    def remove_frames(self, episode: Episode) -> None:
        """Make room on the disk, once an episode of this builder is written."""
        for frames in episode.images.values():
            if isinstance(frames, np.memmap) and frames.filename:
                Path(frames.filename).unlink()

    def _begin(self) -> None:
        self._newest_ns = None
        self._waiting, self._stamps, self._proprio = {}, [], []
        self._vectors: dict[str, list[np.ndarray]] = {v.name: [] for v in self.contract.vectors}
        self._shown: dict[str, list[list[int]]] = {c.name: [] for c in self.contract.cameras}
        self._known: dict[str, dict[int, int]] = {c.name: {} for c in self.contract.cameras}
        self._files = {
            c.name: (self._scratch / f'{c.name}.{self._parts}.rgb').open('wb') for c in self.contract.cameras
        }
        self.commands = CommandStream(self.contract, self._binding.action_sources())

    def _add(self, observation: Observation, log_ns: int) -> None:
        self._stamps.append(observation.stamp_ns)
        self._proprio.append(observation.proprio)
        for name, values in observation.vectors.items():
            self._vectors[name].append(values)
        steps = self.contract.timing.obs_horizon
        for name, pixels in observation.images.items():
            known, row = self._known[name], []
            for i in range(steps):
                k = steps - 1 - i
                stamp_ns = log_ns - observation.ages_ns[f'{name}[{k}]' if k else name]
                if stamp_ns not in known:
                    known[stamp_ns] = len(known)
                    self._files[name].write(pixels[i].data)
                row.append(known[stamp_ns])
            self._shown[name].append(row)

    def _end_part(self, stop_ns: int) -> None:
        """What was collected becomes an episode; commands are cut where the next stretch of time begins."""
        for file in self._files.values():
            file.close()
        for stamp_ns, why in self._waiting.items():
            self._refuse(why, stamp_ns)
        commands, episode = self.commands, None
        if self._stamps:
            episode = self._episode(commands, stop_ns)
        if episode is not None:
            self._finished.append(episode)
        self._parts += 1
        self._begin()

    def _episode(self, commands: CommandStream, stop_ns: int) -> Episode | None:
        stamps = np.array(self._stamps, np.int64)
        first, last = commands.first_ns, min(commands.last_ns or 0, stop_ns)
        if first is None:
            self._refuse(f'no command of {list(commands.missing)}', stamps[0], len(stamps))
            return None
        kept = (stamps >= first) & (stamps <= last)
        if not kept.all():
            self._refuse(UNCOMMANDED, stamps[~kept][0], int((~kept).sum()))
        if not kept.any():
            return None
        stamps = stamps[kept]
        points = np.arange(stamps[0], last + 1, COMMAND_STEP_NS)
        index = {name: np.array(rows, np.int32)[kept] for name, rows in self._shown.items()}
        return Episode(
            stamps_ns=stamps,
            proprio=np.stack(self._proprio)[kept],
            images={name: self._frames(name, len(known)) for name, known in self._known.items()},
            image_index=index,
            command_stamps_ns=points,
            commands=commands.sample(points)[0].astype(np.float32),
            vectors={name: np.stack(rows)[kept] for name, rows in self._vectors.items()},
        )

    def _refuse(self, why: str, stamp_ns: int, count: int = 1) -> None:
        """The text without its figures is the kind, of which the first is told."""
        kind = ''.join(c for c in why if not c.isdigit())
        self.refused[self._kinds.setdefault(kind, f'{why}, first at {at(int(stamp_ns))}')] += count

    def _frames(self, camera: str, count: int) -> np.ndarray:
        size = next(c.size for c in self.contract.cameras if c.name == camera)
        return np.memmap(self._files[camera].name, np.uint8, 'r', shape=(count, *size, 3))


def summary_of(episode: Episode) -> Mapping[str, float | int]:
    """Length and rate of an episode, for reports."""
    seconds = (episode.stamps_ns[-1] - episode.stamps_ns[0]) / 1e9
    rate = (len(episode) - 1) / seconds if seconds else 0.0
    return {'observations': len(episode), 'seconds': round(seconds, 3), 'rate_hz': round(rate, 2)}
