# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Where the episodes of a bag begin and end: by the recorder's marks, by silence, by a list, or all of it."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from dp_ros.bags.marks import EPISODE_TOPIC_SUFFIX, MARK_SCHEMA, MARK_TYPE, OUTCOMES, OUTCOMES_KEY, Mark
from dp_ros.bags.reader import Bag
from dp_ros.contract.strict_yaml import load_strict_yaml
from dp_ros.errors import BagError, ConfigError

SECOND_NS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Span:
    """One episode.

    Attributes:
        index: its number within the bag, as its recorder counted.
        start_ns, stop_ns: by log time, [start, stop).
        outcome: see dp_ros.bags.marks.OUTCOMES.
        instruction, operator: as marked; may be empty.
    """

    index: int
    start_ns: int
    stop_ns: int
    outcome: str = 'unmarked'
    instruction: str = ''
    operator: str = ''


def read_marks(bag: Bag) -> list[tuple[int, Mark]]:
    """Log time and mark of everything that record_node said about episodes.

    Raises:
        BagError: a mark that is damaged.
    """
    topics = [
        name
        for name, info in bag.topics.items()
        if info.type == MARK_TYPE and name.endswith(EPISODE_TOPIC_SUFFIX) and not info.problem
    ]
    out = []
    for message in bag.messages(topics):
        text = str(message.decode().data)
        if MARK_SCHEMA in text:  # others may publish strings of that name as well
            out.append((message.log_ns, Mark.from_json(text)))
    return out


def spans_from_marks(marks: Iterable[tuple[int, Mark]], end_ns: int) -> list[Span]:
    """One span for every start, up to its stop, to the next start, or to the end of the bag, exclusive ``end_ns``.

    The newest outcome of an episode counts; discarded episodes are in the list.
    """
    spans: dict[int, Span] = {}
    open_index: int | None = None
    for log_ns, mark in sorted(marks, key=lambda pair: pair[0]):
        if mark.event == 'start' and mark.episode not in spans:
            if open_index is not None:
                spans[open_index] = replace(spans[open_index], stop_ns=log_ns)
            open_index = mark.episode
            spans[open_index] = Span(
                index=mark.episode,
                start_ns=log_ns,
                stop_ns=end_ns,
                instruction=mark.instruction,
                operator=mark.operator,
            )
        span = spans.get(mark.episode)
        if span is None or mark.event == 'start':
            continue
        if mark.event == 'stop' and mark.episode == open_index:
            span, open_index = replace(span, stop_ns=log_ns), None
        if mark.outcome != 'unmarked':
            span = replace(span, outcome=mark.outcome)
        spans[mark.episode] = replace(span, instruction=mark.instruction or span.instruction)
    return [spans[index] for index in sorted(spans)]


def spans_from_gaps(bag: Bag, topics: Collection[str], gap_ns: int) -> list[Span]:
    """The stretches in which no two messages of these topics are further apart than ``gap_ns``."""
    ends: list[tuple[int, int]] = []
    for message in bag.messages(topics):
        if ends and message.log_ns - ends[-1][1] <= gap_ns:
            ends[-1] = (ends[-1][0], message.log_ns)
        else:
            ends.append((message.log_ns, message.log_ns))
    return [Span(index=i, start_ns=start, stop_ns=stop + 1) for i, (start, stop) in enumerate(ends)]


def spans_from_list(path: Path, bag: Bag) -> list[Span]:
    """The episodes that a YAML file lists for this bag.

    The file maps names of bags to lists of ``{start, stop, outcome, instruction}``; times in seconds from the beginning
    of the bag, outcome and instruction may be left out.

    Raises:
        ConfigError: names file and key.
    """
    data = load_strict_yaml(path)
    if not isinstance(data, dict):
        raise ConfigError(f'{path}: expected names of bags with lists of episodes, got {data!r}')
    spans = []
    for i, entry in enumerate(data.get(bag.name) or []):
        where = f'{path}: {bag.name}[{i}]'
        if not isinstance(entry, dict) or not {'start', 'stop'} <= set(entry) <= {
            'start', 'stop', 'outcome', 'instruction',
        }:  # fmt: skip
            raise ConfigError(
                f'{where}: expected start, stop, and perhaps outcome and instruction, got {entry!r}'
            )
        start, stop, outcome = entry['start'], entry['stop'], entry.get('outcome', 'unmarked')
        if not all(isinstance(t, int | float) and not isinstance(t, bool) for t in (start, stop)) or not (
            0 <= start < stop
        ):
            raise ConfigError(f'{where}: 0 <= start < stop expected, in seconds, got {start!r} and {stop!r}')
        if outcome not in OUTCOMES:
            raise ConfigError(f'{where}.outcome: must be one of {list(OUTCOMES)}, got {outcome!r}')
        spans.append(
            Span(
                index=i,
                start_ns=bag.start_ns + round(start * SECOND_NS),
                stop_ns=bag.start_ns + round(stop * SECOND_NS),
                outcome=outcome,
                instruction=str(entry.get('instruction', '')),
            )
        )
    return spans


def spans(bag: Bag, how: str, topics: Collection[str], gap_ns: int) -> list[Span]:
    """The episodes of a bag, in the order of their times.

    Args:
        bag: an open bag.
        how: 'marks', 'gaps', 'whole', 'auto' (marks where there are any, else the whole bag), or the path of a list.
        topics: what counts for gaps.
        gap_ns: a longer silence ends an episode, for gaps.

    Raises:
        BagError: there are no marks.
        ConfigError: the list is malformed.
    """
    whole = [Span(index=0, start_ns=bag.start_ns, stop_ns=bag.end_ns + 1)]
    if how == 'whole':
        return whole
    if how == 'gaps':
        return spans_from_gaps(bag, topics, gap_ns)
    if how not in ('marks', 'auto'):
        return spans_from_list(Path(how), bag)
    marked = spans_from_marks(read_marks(bag), bag.end_ns + 1)
    if not marked and how == 'marks':
        raise BagError(
            f'bag {bag.name!r}: no episode is marked in it; take episodes from gaps, whole, or a list'
        )
    # What an operator said after the recording stands in the metadata alone.
    judged = _judged(bag)
    marked = [replace(span, outcome=judged.get(span.index, span.outcome)) for span in marked]
    return sorted(marked, key=lambda span: span.start_ns) or whole


def _judged(bag: Bag) -> dict[int, str]:
    try:
        outcomes = json.loads(bag.custom_data.get(OUTCOMES_KEY) or '{}')
        return {int(index): str(outcome) for index, outcome in outcomes.items() if outcome in OUTCOMES}
    except (ValueError, AttributeError) as error:
        raise BagError(f'bag {bag.name!r}: custom_data.{OUTCOMES_KEY} is damaged: {error}') from error
