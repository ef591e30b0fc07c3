# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What an operator said about episodes: one latched std_msgs/String of JSON an event, on '<record_node>/episode'."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from dp_ros.errors import BagError

EPISODE_TOPIC_SUFFIX = '/episode'
MARK_TYPE = 'std_msgs/msg/String'
MARK_SCHEMA = 'dp_ros_episode_mark'
MARK_VERSION = 1
# In a bag's custom_data: JSON, outcome by number of the episode.
OUTCOMES_KEY = 'outcomes'
EVENTS = ('start', 'stop', 'judge')
OUTCOMES = ('success', 'failure', 'discard', 'unmarked')


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One event of an episode.

    Attributes:
        event: 'start', 'stop', or 'judge': a later verdict about an episode that has stopped.
        episode: number of the episode within its bag, from 0.
        stamp_ns: when, on the recorder's ROS clock.
        outcome: one of OUTCOMES; 'unmarked' at a start. The newest one of an episode counts.
        instruction: what the robot was to do, in words; may be empty.
        operator: who recorded; may be empty.
    """

    event: str
    episode: int
    stamp_ns: int
    outcome: str = 'unmarked'
    instruction: str = ''
    operator: str = ''

    def __post_init__(self) -> None:
        if self.event not in EVENTS:
            raise BagError(f'episode mark: event {self.event!r}, expected one of {EVENTS}')
        if self.outcome not in OUTCOMES:
            raise BagError(f'episode mark: outcome {self.outcome!r}, expected one of {OUTCOMES}')
        if self.episode < 0:
            raise BagError(f'episode mark: episode {self.episode}, expected a number from 0')

    def to_json(self) -> str:
        """The text of the message, on one line."""
        head = {'schema': MARK_SCHEMA, 'version': MARK_VERSION}
        return json.dumps(head | asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> 'Mark':
        """Read :meth:`to_json` back; keys that a later version added are left out.

        Raises:
            BagError: not a mark, or one of a version that this code does not know; says why.
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise BagError(f'episode mark is no JSON: {error}: {_short(text)}') from error
        if not isinstance(data, dict) or data.get('schema') != MARK_SCHEMA:
            raise BagError(f'no episode mark (schema {MARK_SCHEMA!r} expected): {_short(text)}')
        if data.get('version') != MARK_VERSION:
            raise BagError(f'episode mark: version {data.get("version")!r}, expected {MARK_VERSION}')
        return cls(**{name: _value(data, name, kind) for name, kind in _FIELDS.items()})


_FIELDS: dict[str, type] = {
    'event': str, 'episode': int, 'stamp_ns': int, 'outcome': str, 'instruction': str, 'operator': str,
}  # fmt: skip


def _value(data: dict[str, Any], name: str, kind: type) -> Any:
    # bool is an int to Python; type() and not isinstance() keeps True from being an episode's number.
    if type(data.get(name)) is not kind:
        raise BagError(f'episode mark: {name} is {data.get(name)!r}, expected {kind.__name__}')
    return data[name]


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + '...')
