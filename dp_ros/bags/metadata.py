# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The metadata of a bag as rosbag2 writes it, version 9, at any moment of a recording."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, cast

import yaml
from rosbags.interfaces import Connection, ConnectionExtRosbag2
from rosbags.rosbag2.metadata import dump_qos_v9

METADATA_FILE = 'metadata.yaml'
VERSION: Literal[9] = 9
_KEY = 'rosbag2_bagfile_information'


def metadata(
    file: str,
    topics: Iterable[tuple[Connection, int]],
    start_ns: int,
    end_ns: int,
    custom_data: Mapping[str, str],
) -> dict[str, Any]:
    """Metadata of a bag of one MCAP file.

    Args:
        file: its name.
        topics: with the number of messages of each.
        start_ns, end_ns: log times of the first and the last message; anything where there is none.
        custom_data: text by name.
    """
    counted = list(topics)
    count = sum(n for _, n in counted)
    span = {
        'starting_time': {'nanoseconds_since_epoch': start_ns if count else 0},
        'duration': {'nanoseconds': max(0, end_ns - start_ns) if count else 0},
        'message_count': count,
    }
    return {
        'version': VERSION,
        'storage_identifier': 'mcap',
        'relative_file_paths': [file],
        **span,
        'topics_with_message_count': [_topic(connection, n) for connection, n in counted],
        # Compressed chunks are the storage's own affair, and no compression of rosbag2.
        'compression_format': '',
        'compression_mode': '',
        'files': [{'path': file, **span}],
        'custom_data': dict(custom_data) or None,
        'ros_distro': 'rosbags',
    }


def information(data: Mapping[str, Any]) -> str:
    """The metadata as they stand inside of the MCAP file."""
    return _yaml(data)


def yaml_text(data: Mapping[str, Any]) -> str:
    """The metadata as they stand in metadata.yaml."""
    return _yaml({_KEY: data})


def _topic(connection: Connection, count: int) -> dict[str, Any]:
    extra = cast('ConnectionExtRosbag2', connection.ext)
    return {
        'topic_metadata': {
            'name': connection.topic,
            'type': connection.msgtype,
            'serialization_format': extra.serialization_format,
            'offered_qos_profiles': dump_qos_v9(extra.offered_qos_profiles),
            'type_description_hash': connection.digest,
        },
        'message_count': count,
    }


def _yaml(data: Any) -> str:
    # Readers of other languages know no anchors and aliases, which equal parts would become.
    return str(yaml.dump(data, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=2**16))


class _Plain(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML carries no types
    def ignore_aliases(self, data: Any) -> bool:
        return True
