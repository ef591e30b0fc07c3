# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a data report will say of a bag's episodes, one line of JSON an episode, so that no memory holds them all."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dp_ros.bags.time_statistics import TimeStatistics, TopicRates
from dp_ros.contract import Contract
from dp_ros.data.episode import Episode
from dp_ros.data.episode_facts import Bounds, episode_facts

NAME = 'facts.jsonl'
COMMAND = 'command'


class FactsFile:
    """Facts of one bag.

    Args:
        folder: where the file goes; it begins empty.
        contract: of the episodes.
        bounds: see :func:`episode_facts`.
        fields: what each topic of the bag carries.
        streams: gets field and times of each topic.

    Attributes:
        rates: takes topic and log time of each message of a span.
    """

    def __init__(
        self,
        folder: Path,
        contract: Contract,
        bounds: Bounds,
        fields: Mapping[str, str],
        streams: dict[str, tuple[str, TimeStatistics]],
    ) -> None:
        self._path, self._contract, self._bounds = folder / NAME, contract, bounds
        self._fields, self._streams = fields, streams
        self._path.write_text('')
        self.rates = TopicRates()
        self._of_span: dict[str, TimeStatistics] = {}

    def end_span(self) -> None:
        """All messages of a span have come; its episodes follow."""
        self._of_span = self.rates.finish()
        for topic, times in self._of_span.items():
            self._streams.setdefault(topic, (self._fields[topic], TimeStatistics()))[1].merge(times)

    def write(self, summary: Mapping[str, Any], episode: Episode) -> None:
        """Add an episode of the span."""
        streams = {
            topic: {'field': self._fields[topic], **times.figures()} for topic, times in self._of_span.items()
        }
        facts = {
            **summary,
            'streams': streams,
            **episode_facts(episode, self._contract, self._bounds, pictures=True),
        }
        with self._path.open('a', encoding='utf-8') as file:
            file.write(json.dumps(facts) + '\n')


def read_facts(folder: Path) -> Iterator[dict[str, Any]]:
    """Facts of the episodes of a bag, in their order."""
    with (folder / NAME).open(encoding='utf-8') as lines:
        yield from (json.loads(line) for line in lines)
