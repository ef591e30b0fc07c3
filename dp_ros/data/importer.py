# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""One bag into episode files, message by message in the order of its log."""

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dp_ros.bags.episodes import Span, spans
from dp_ros.bags.reader import Bag, open_bag
from dp_ros.bags.robot_description import described_robot
from dp_ros.bags.storage import at
from dp_ros.bags.time_statistics import TimeStatistics
from dp_ros.bags.topics import absolute, located
from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding
from dp_ros.data.bag_episodes import UNCOMMANDED, EpisodeBuilder, summary_of
from dp_ros.data.episode import Episode
from dp_ros.data.episode_file import write_episode
from dp_ros.data.facts_file import COMMAND, FactsFile, read_facts
from dp_ros.errors import BagError, KnownBagError, MessageError, StoreError
from dp_ros.observation.limits import ObservationLimits

# How many kinds of trouble of one bag are told one by one.
MOST_TROUBLES = 20
# A larger share of refused observations is more than how an episode begins.
MOST_REFUSED = 0.1
# What the observation buffer counts of stamps.
STAMPS = {
    'unstamped': 'without a stamp: the time of the log stands in',
    'duplicate': 'with a stamp that was there already: left out',
    'out_of_order': 'out of the order of their stamps',
    'clock_jumps': 'times that stamps were set back: observations begin anew',
}


@dataclass(frozen=True, kw_only=True)
class ImportSettings:
    """How bags are read.

    Attributes:
        namespace: of the binding's topics that have no leading slash.
        episodes: 'auto', 'marks', 'gaps', 'whole', or the path of a list; see :func:`dp_ros.bags.episodes.spans`.
        gap_ns: silence that ends an episode, for gaps.
        outcomes: which episodes are taken; discarded ones never are.
        limits: when an observation is refused.
        facts: whether to find out what a data report says; see :mod:`dp_ros.data.episode_facts`.
    """

    namespace: str = ''
    episodes: str = 'auto'
    gap_ns: int = 1_000_000_000
    outcomes: tuple[str, ...] = ('success', 'unmarked')
    limits: ObservationLimits = field(default_factory=ObservationLimits)
    facts: bool = False


@dataclass
class ImportedBag:
    """What became of a bag.

    Attributes:
        path, name, sha256: of the bag; the hash is empty where it could not be opened.
        files: of its episodes, in the order of their times.
        episodes: what the report says of each.
        skipped: what was left out, and why, with bag, topic and stamp.
        notes: what is worth knowing, without anything being left out.
        counters: messages and observations by what became of them.
        size, seconds: bytes of messages that were read, and wall-clock time.
        streams: what each topic carries, and its times within the episodes; if facts were asked for.
    """

    path: Path
    name: str = ''
    sha256: str = ''
    files: list[Path] = field(default_factory=list)
    episodes: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counters: Counter[str] = field(default_factory=Counter)
    size: int = 0
    seconds: float = 0.0
    streams: dict[str, tuple[str, TimeStatistics]] = field(default_factory=dict)

    def facts(self) -> Iterator[dict[str, Any]]:
        """Of its episodes, in their order, if they were asked for; from a file beside theirs, while it is there."""
        return read_facts(self.files[0].parent)

    def source(self, settings: ImportSettings) -> dict[str, Any]:
        """Where its episodes come from, for the store."""
        return {
            'name': self.name,
            'sha256': self.sha256,
            'settings': {
                'namespace': settings.namespace,
                'episodes': settings.episodes,
                'outcomes': list(settings.outcomes),
            },
        }


def import_bag(
    path: Path,
    contract: Contract,
    binding: Binding,
    settings: ImportSettings,
    staging: Path,
    known: Mapping[str, str] = MappingProxyType({}),
    progress: Callable[[float, int], None] | None = None,
) -> ImportedBag:
    """Write the episodes of a bag as files in a folder of ``staging``.

    Args:
        path: of the bag.
        contract: which fields the episodes shall have.
        binding: which topics carry them.
        settings: how.
        staging: where the files go, on the store's disk.
        known: names by hash of the bags that are imported already.
        progress: called with the share of the bag's time that is done, and the bytes read.

    Raises:
        BagError, MismatchError, StoreError: nothing of the bag can be used, or it is known; nothing of it stays in
            ``staging``.
    """
    began = time.monotonic()
    done = ImportedBag(path)
    folder: Path | None = None
    try:
        folder = Path(tempfile.mkdtemp(prefix='bag-', dir=staging))
        with open_bag(path) as bag, ThreadPoolExecutor(1) as beside:
            done.name = bag.name
            # Hashed while it is read: the disk is asked once, and the hash takes as long as a fifth of the rest.
            sha256 = beside.submit(bag.sha256)
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                reading = _Reading(
                    bag, contract, binding, settings, folder, Path(scratch), done, sha256, known
                )
                reading.run(progress)
            # Damage inside a bag is found when it is read.
            done.skipped += [f'bag {bag.name!r}: {problem}' for problem in bag.problems]
        if not done.files:
            raise BagError(
                f'bag {done.name!r}: no episode in it: ' + ('; '.join(done.skipped) or 'it is empty')
            )
    except BaseException as error:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise StoreError(f'bag {done.name or path.name!r} cannot be imported: {error}') from error
        raise
    done.seconds = time.monotonic() - began
    return done


class _Reading:
    """One pass over a bag."""

    def __init__(
        self,
        bag: Bag,
        contract: Contract,
        binding: Binding,
        settings: ImportSettings,
        folder: Path,
        scratch: Path,
        done: ImportedBag,
        sha256: 'Future[str]',
        known: Mapping[str, str],
    ) -> None:
        self._bag, self._settings, self._folder, self._done = bag, settings, folder, done
        self._sha256, self._known = sha256, known
        self._waiting: list[tuple[Episode, Path]] = []
        self._builder = builder = EpisodeBuilder(contract, binding, settings.limits, scratch)
        self._contract = contract
        wanted = {source.topic: source.type for source in builder.intake.sources}
        wanted |= dict(builder.commands.topics)
        self._places = located(bag, wanted, settings.namespace)
        self._sources: dict[str, list[Any]] = {}
        for source in builder.intake.sources:
            self._sources.setdefault(source.topic, []).append(source)
        self._command_topics = {topic for topic, _ in builder.commands.topics}
        self._facts: FactsFile | None = None
        if settings.facts:
            description = absolute(binding.robot_description, settings.namespace)
            model = described_robot(bag, description) if binding.robot_description else None
            fields = {t: [s.stream for s in self._sources.get(t, ())] for t in self._places.values()}
            self._facts = FactsFile(
                folder,
                contract,
                binding.position_bounds(contract.joint_names, model),
                {t: ', '.join(fields[topic]) or COMMAND for t, topic in self._places.items()},
                done.streams,
            )
        self._troubles: Counter[str] = Counter()
        self._first: dict[tuple[str, str], str] = {}

    def run(self, progress: Callable[[float, int], None] | None) -> None:
        bag, settings = self._bag, self._settings
        cameras = [absolute(s.topic, settings.namespace) for s in self._builder.intake.sources]
        present = [topic for topic in cameras if topic in bag.topics]
        for span in spans(bag, settings.episodes, present, settings.gap_ns):
            if span.outcome == 'discard' or span.outcome not in settings.outcomes:
                self._done.notes.append(
                    f'bag {bag.name!r}, episode {span.index}: left out, marked {span.outcome}'
                )
                self._done.counters[f'episodes_{span.outcome}'] += 1
                continue
            self._episode(span, progress)
        self._write_waiting()
        for text, count in self._troubles.most_common(MOST_TROUBLES):
            again = f' ({count} times)' if count > 1 else ''
            self._done.skipped.append(f'bag {bag.name!r}, {text}{again}')
        rest = len(self._troubles) - MOST_TROUBLES
        if rest > 0:
            self._done.skipped.append(f'bag {bag.name!r}: {rest} further kinds of trouble')
        self._done.counters.update(self._builder.buffer.counters)
        self._note_stamps()

    def _episode(self, span: Span, progress: Callable[[float, int], None] | None) -> None:
        bag, builder, done = self._bag, self._builder, self._done
        length = max(1, bag.end_ns - bag.start_ns)
        last_ns, read = span.start_ns, 0
        for number, message in enumerate(bag.messages(self._places, span.start_ns, span.stop_ns)):
            if bag.clock.starts and bag.clock.breaks(last_ns, message.log_ns):
                builder.interrupt(message.log_ns)
            last_ns, read = message.log_ns, number + 1
            done.size += len(message.raw)
            if self._facts is not None:
                self._facts.rates.add(message.topic, message.log_ns)
            topic = self._places[message.topic]
            try:
                decoded = message.decode()
                sources = self._sources.get(topic, ())
                if topic in self._command_topics:
                    builder.commands.put(topic, decoded, message.log_ns)
                for source in sources:
                    source.put(decoded, message.log_ns)
                if sources:
                    builder.observe(message.log_ns)
            except (MessageError, BagError) as error:
                self._trouble(message.topic, message.log_ns, str(error))
            if progress is not None and number % 64 == 0:
                progress((message.log_ns - bag.start_ns) / length, done.size)
            if number % 64 == 0 and self._known and self._sha256.done():
                self._require_new()
        if self._facts is not None:
            self._facts.end_span()
        count = 0
        for episode in builder.finish(span.stop_ns):
            summary = {'bag': bag.name, 'index': span.index, 'outcome': span.outcome} | dict(
                summary_of(episode)
            )
            metadata = {
                'bag': bag.name,
                'episode': str(span.index),
                'outcome': span.outcome,
                'success': str(span.outcome == 'success'),
                'instruction': span.instruction,
                'operator': span.operator,
            }
            file = self._folder / f'{span.index:06d}-{count}.safetensors'
            self._waiting.append((replace(episode, metadata=metadata), file))
            summary |= {'instruction': span.instruction}
            done.episodes.append(summary)
            if self._facts is not None:
                self._facts.write(summary, episode)
            count += 1
        done.notes += [f'bag {bag.name!r}, episode {span.index}: {note}' for note in builder.notes]
        builder.notes.clear()
        refused = sum(builder.refused.values())
        done.counters['observations_refused'] += refused
        why = '; '.join(f'{text} ({n} times)' for text, n in builder.refused.most_common(3))
        taken = sum(int(e['observations']) for e in done.episodes[len(done.episodes) - count :])
        stale = sum(n for text, n in builder.refused.items() if not text.startswith(UNCOMMANDED))
        if count and stale > MOST_REFUSED * (taken + stale):
            done.skipped.append(
                f'bag {bag.name!r}, episode {span.index}: {stale} of {taken + stale} observations: {why}'
            )
        elif count and refused > MOST_REFUSED * (taken + refused):
            done.notes.append(f'bag {bag.name!r}, episode {span.index}: not {refused} observations: {why}')
        if not count:
            done.skipped.append(
                f'bag {bag.name!r}, episode {span.index} (from {at(span.start_ns)}): no observation in it'
                + (
                    f': {why}'
                    if why
                    else ': nothing in it could be read'
                    if read
                    else ': no message of its topics'
                )
            )
        builder.refused.clear()
        if self._sha256.done():
            self._write_waiting()

    def _require_new(self) -> None:
        """Refuse a bag that is imported already, once its hash is known; waits for that."""
        self._done.sha256 = self._sha256.result()
        if self._done.sha256 in self._known:
            known = self._known[self._done.sha256]
            same = 'is in the store already' + (f', as {known!r}' if known != self._bag.name else '')
            raise KnownBagError(f'bag {self._bag.name!r} {same} (sha256 {self._done.sha256[:12]})')

    def _write_waiting(self) -> None:
        """Episodes that had to wait for the bag's hash."""
        self._require_new()
        for episode, file in self._waiting:
            self._done.files.append(file)
            episode = replace(episode, metadata=episode.metadata | {'bag_sha256': self._done.sha256})
            episode.check(self._contract, f'bag {self._bag.name!r}, episode {episode.metadata["episode"]}')
            write_episode(episode, file)
            self._builder.remove_frames(episode)
        self._waiting.clear()

    def _note_stamps(self) -> None:
        """Stamps that were odd, each kind with its topics and the first time."""
        counters = self._builder.buffer.counters
        for counter, first_ns in self._builder.buffer.first_ns.items():
            kind, _, stream = counter.partition('.')
            topics = [s.topic for s in self._builder.intake.sources if stream in ('', s.stream)]
            self._done.notes.append(
                f'bag {self._bag.name!r}, topics {topics}: {counters[counter]} {STAMPS[kind]}, first at {at(first_ns)}'
            )

    def _trouble(self, topic: str, log_ns: int, text: str) -> None:
        """The first of a kind is told with its time; the kind is the text without numbers."""
        kind = ''.join(c for c in text if not c.isdigit())
        first = self._first.setdefault((topic, kind), f'topic {topic}, first at {at(log_ns)}: {text}')
        self._troubles[first] += 1
        self._done.counters['unreadable_messages'] += 1
