# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The same bag through rosbag2_py, for types of messages that only a distribution knows.

rosbag2_py exists in ROS distributions only, so no test of this package runs this file: it follows rosbag2_py's
sources from Jazzy on. By its nature it differs from :class:`dp_ros.bags.writer.BagWriter`: rosbag2 writes metadata.yaml
when it closes, so outcomes stand in the marks alone, and a kill may cost custom_data and the last chunk of 64 KiB,
whatever the time; and nothing asks the disk to have what was written.
"""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rclpy.serialization import serialize_message
from rosbags.interfaces import Qos, QosDurability, QosReliability
from std_msgs.msg import String

from dp_ros.bags.marks import MARK_TYPE, Mark
from dp_ros.bags.writer import offered_qos
from dp_ros.errors import BagError

# Laid over the preset.
_STORAGE_OPTIONS = 'chunkSize: 65536\n'


class Rosbag2Writer:
    """One new bag; arguments and methods as of :class:`dp_ros.bags.writer.BagWriter`.

    Raises:
        ImportError: the distribution has no rosbag2_py.
        BagError: the bag cannot be made.
    """

    def __init__(self, path: Path, custom_data: Mapping[str, str]):
        import rosbag2_py

        self.path = path
        self._api: Any = rosbag2_py
        self._known: set[str] = set()
        self.counts: Counter[str] = Counter()
        options = path.with_name(path.name + '.storage.yaml')
        self._writer: Any = rosbag2_py.SequentialWriter()
        try:
            options.parent.mkdir(parents=True, exist_ok=True)
            options.write_text(_STORAGE_OPTIONS)
            self._writer.open(
                rosbag2_py.StorageOptions(
                    uri=str(path),
                    storage_id='mcap',
                    # No cache: it would only be written when it is full.
                    max_cache_size=0,
                    storage_preset_profile='zstd_fast',
                    storage_config_uri=str(options),
                    custom_data=dict(custom_data),
                ),
                rosbag2_py.ConverterOptions('', ''),
            )
        except (OSError, RuntimeError) as error:
            raise BagError(f'{path}: cannot make a bag: {error}') from error
        finally:
            with suppress(OSError):
                options.unlink()

    @property
    def size(self) -> int:
        """Bytes in the directory."""
        return sum(file.stat().st_size for file in self.path.glob('*'))

    def knows(self, kind: str) -> bool:
        """rosbag2 finds the definition of every type that is installed."""
        return True

    def add_topic(self, topic: str, kind: str, qos: Qos | None = None) -> None:
        """Announce a topic; a second time changes nothing."""
        if topic in self._known:
            return
        self._known.add(topic)
        self._call(
            'create_topic',
            self._api.TopicMetadata(
                id=len(self._known),
                name=topic,
                type=kind,
                serialization_format='cdr',
                offered_qos_profiles=[self._profile(offered_qos() if qos is None else qos)],
            ),
        )

    def write(self, topic: str, raw: bytes | memoryview, log_ns: int) -> None:
        """Append one serialized message."""
        self._call('write', topic, bytes(raw), log_ns)
        self.counts[topic] += 1

    def write_mark(self, topic: str, mark: Mark) -> None:
        """Append a mark at its own stamp."""
        self.add_topic(topic, MARK_TYPE, offered_qos(latched=True, depth=1))
        self.write(topic, serialize_message(String(data=mark.to_json())), mark.stamp_ns)

    def flush(self) -> None:
        """rosbag2 has no such thing; its chunks are small instead."""

    def close(self) -> None:
        """Write the index and metadata.yaml, which the writer's destructor does in every distribution."""
        self._writer = None

    def _call(self, method: str, *arguments: Any) -> None:
        if self._writer is None:
            raise BagError(f'{self.path}: the bag is closed')
        try:
            getattr(self._writer, method)(*arguments)
        except RuntimeError as error:
            raise BagError(f'{self.path}: {error}') from error

    def _profile(self, qos: Qos) -> Any:
        profile = self._api._storage.QoS(qos.depth)
        reliable = qos.reliability == QosReliability.RELIABLE
        profile = profile.reliable() if reliable else profile.best_effort()
        latched = qos.durability == QosDurability.TRANSIENT_LOCAL
        return profile.transient_local() if latched else profile.durability_volatile()
