# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A policy over a bag, without ROS: the intake, buffer and session that run live, and what was recorded beside it.

Messages go in log order into the same code as live ones, and after each of them the session is asked whether it is due.
So for one seed the chunks are those that the node would have made, had every chunk been ready at once.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from dp_ros.bags.reader import Bag, BagMessage
from dp_ros.bags.storage import at
from dp_ros.bags.topics import located
from dp_ros.contract.binding import Binding
from dp_ros.errors import BagError, MessageError, MismatchError, StaleObservationError
from dp_ros.evaluation.replay_assembly import Predicted, fill, new_record, skipped_ticks
from dp_ros.evaluation.replay_record import Floats, ReplayRecord
from dp_ros.evaluation.replay_witness import WitnessBuffer
from dp_ros.observation.command_stream import CommandStream
from dp_ros.observation.intake import Intake, Source
from dp_ros.observation.limits import ObservationLimits
from dp_ros.observation.observation import Observation
from dp_ros.policy.controller import Controller
from dp_ros.policy.goal import Goal
from dp_ros.policy.sampling import ChunkPolicy
from dp_ros.policy.session import PolicySession

MOST_FRAMES = 1500
LEAST_FRAME_NS = 80_000_000


@dataclass(frozen=True)
class Stretch:
    """One episode by log time, [start, stop), and what it was for: the policy is reset where it begins."""

    start_ns: int
    stop_ns: int
    instruction: str = ''


@dataclass(frozen=True, kw_only=True)
class ReplaySettings:
    """How a bag is replayed.

    Attributes:
        namespace: of the binding's topics that have no leading slash.
        seed: of the policy's noise, as of the live node.
        full_sampling: also sample every chunk in full from noise, beside the policy's own.
        samples: further full samples, for the spread.
        samples_every: at each so many ticks.
        limits: when an observation is refused.
        start_ns, stop_ns: replay only what was recorded within, by log time.
        stretches: episodes; without any, the whole bag is one.
    """

    namespace: str = ''
    seed: int = 0
    full_sampling: bool = True
    samples: int = 0
    samples_every: int = 4
    limits: ObservationLimits = field(default_factory=ObservationLimits)
    start_ns: int | None = None
    stop_ns: int | None = None
    stretches: Sequence[Stretch] = ()


def replay(
    bag: Bag,
    binding: Binding,
    controller: Controller,
    settings: ReplaySettings | None = None,
    *,
    title: str = '',
    checkpoint: str = '',
    progress: Callable[[float, int], None] | None = None,
) -> ReplayRecord:
    """Run a policy over a bag.

    Args:
        bag: an open bag.
        binding: which topics carry what; its action sources are what is compared with.
        controller: the policy in motion, fresh.
        settings: how.
        title: name of the model in tables; the contract's name where empty.
        checkpoint: where the policy came from, for the record.
        progress: called with the share of the time that is done, and the ticks so far.

    Raises:
        MismatchError: policy, binding and bag do not fit; lists every difference. Or the policy needs a goal, and an
            episode has no instruction.
        BagError: the bag holds no command that could be compared with.
    """
    settings = settings or ReplaySettings()
    contract = controller.policy.contract
    check_instructions(controller, settings.stretches)
    start_ns = bag.start_ns if settings.start_ns is None else max(settings.start_ns, bag.start_ns)
    stop_ns = bag.end_ns + 1 if settings.stop_ns is None else min(settings.stop_ns, bag.end_ns + 1)
    frame_every_ns = max(LEAST_FRAME_NS, (stop_ns - start_ns) // MOST_FRAMES)
    witness = WitnessBuffer(contract, settings.limits, frame_every_ns)
    intake = Intake(contract, binding, witness)
    commands = CommandStream(contract, binding.action_sources())
    wanted = {source.topic: source.type for source in intake.sources} | dict(commands.topics)
    places = located(bag, wanted, settings.namespace)
    record = new_record(controller, title or contract.name, checkpoint, str(bag.path))
    run = _Run(controller, witness, settings, record)
    sources: dict[str, list[Source]] = {}
    for source in intake.sources:
        sources.setdefault(source.topic, []).append(source)
    command_topics = {topic for topic, _ in commands.topics}
    last_ns = start_ns
    for number, message in enumerate(bag.messages(places, start_ns, stop_ns)):
        if bag.clock.starts and bag.clock.breaks(last_ns, message.log_ns):
            run.interrupt()
        last_ns = message.log_ns
        topic = places[message.topic]
        run.take(message, sources.get(topic, ()), commands, topic if topic in command_topics else None)
        if progress is not None and number % 64 == 0:
            progress((message.log_ns - start_ns) / max(1, stop_ns - start_ns), len(run.predicted))
    if commands.missing:
        raise BagError(
            f'bag {bag.name!r}: no command was recorded for {list(commands.missing)} on {sorted(command_topics)}; '
            'the section `actions` of the binding says where demonstrations hold what was commanded'
        )
    # The tail of the last window in the bag is what would have been, not what was.
    ends = {
        i: min(s.stop_ns, stop_ns) for i, s in enumerate(settings.stretches or [Stretch(start_ns, stop_ns)])
    }
    fill(record, run.predicted, commands, witness, ends)
    record.stale.update(run.refused.values())
    record.skipped.update(skipped_ticks(record, run.refused))
    return record


def check_instructions(controller: Controller, stretches: Sequence[Stretch]) -> None:
    """Whether every episode says what a policy that does nothing without a goal shall do; others need none.

    Raises:
        MismatchError: it does not, or the policy takes no instructions.
    """
    if not controller.waits_for_goal:
        return
    takes = 'instruction' in controller.policy.contract.goals
    told = sum(bool(s.instruction) for s in stretches) if takes else 0
    if not told or told < len(stretches):
        also = '; --instruction gives one to the others' if takes else ''
        raise MismatchError(
            f'{controller.no_goal()}: the bag marks an instruction that it takes for {told} of {len(stretches)} '
            f'episodes{also}'
        )


class _Run:
    """The session, the samplers beside it, and what they gave."""

    def __init__(
        self,
        controller: Controller,
        witness: WitnessBuffer,
        settings: ReplaySettings,
        record: ReplayRecord,
    ) -> None:
        self.predicted: list[Predicted] = []
        self.refused: dict[int, str] = {}
        self._kinds: dict[str, str] = {}
        self._record = record
        self._controller, self._witness, self._settings = controller, witness, settings
        # Of episodes that have no instruction: never that of the episode before.
        self._goal = controller.goal
        self._session = PolicySession(controller, witness, settings.seed)
        # As live, where the topic of 'engaged' is latched: true before anything else arrives.
        self._session.set_engaged(True)
        self._stretches = list(settings.stretches)
        self._episode = -1 if self._stretches else 0

    def take(
        self,
        message: BagMessage,
        sources: Sequence[Source],
        commands: CommandStream,
        command_topic: str | None,
    ) -> None:
        inside = self._inside(message.log_ns)
        if not sources and command_topic is None:
            return
        try:
            decoded = message.decode()
            if command_topic is not None:
                commands.put(command_topic, decoded, message.log_ns)
            if not inside:
                return
            for source in sources:
                source.put(decoded, message.log_ns)
        except (MessageError, BagError) as error:
            self._unreadable(f'{message.topic}: {error}', message.log_ns)
            return
        if sources and self._session.due():
            self._tick(message.log_ns)

    def interrupt(self) -> None:
        """What comes next was not recorded after what came last: the recorder's clock was set back."""
        self._session.restart()

    def _unreadable(self, why: str, log_ns: int) -> None:
        kind = self._kinds.setdefault(without_figures(why), f'{why} (first at {at(log_ns)})')
        self._record.unreadable[kind] += 1

    def _inside(self, log_ns: int) -> bool:
        """Whether this time belongs to an episode; begins the next one where it starts."""
        following = self._episode + 1
        while following < len(self._stretches) and log_ns >= self._stretches[following].start_ns:
            self._session.reset()
            text = self._stretches[following].instruction
            if 'instruction' in self._controller.policy.contract.goals:
                self._session.set_goal(Goal(instruction=text) if text else self._goal)
            self._episode, following = following, following + 1
        return not self._stretches or (self._episode >= 0 and log_ns < self._stretches[self._episode].stop_ns)

    def _tick(self, log_ns: int) -> None:
        due_ns = self._witness.newest_observation_ns()
        try:
            tick = self._session.tick(log_ns)
        except StaleObservationError as error:
            if due_ns is not None:
                self.refused[due_ns] = without_figures(str(error))
            return
        except MessageError as error:
            self._unreadable(str(error), log_ns)
            return
        if tick is None:
            return
        self.refused.pop(tick.observation.stamp_ns, None)
        sampled = self._settings.samples and len(self.predicted) % self._settings.samples_every == 0
        self.predicted.append(
            Predicted(
                stamp_ns=tick.chunk.stamp_ns,
                log_ns=log_ns,
                chunk=np.array(tick.chunk.positions),
                stage_ms=dict(tick.stage_ms),
                measured=tick.observation.proprio[-1].astype(np.float64),
                full=self._sample(self._full, tick.observation) if self._full is not None else None,
                spread=self._spread(tick.observation) if sampled else None,
                episode=self._episode,
            )
        )

    @cached_property
    def _full(self) -> ChunkPolicy | None:
        """Full sampling; None where the policy does nothing else."""
        if not self._settings.full_sampling or self._controller.control.mode == 'chunk':
            return None
        return self._sampler(self._settings.seed)

    @cached_property
    def _more(self) -> ChunkPolicy:
        return self._sampler(self._settings.seed + 1)

    def _sampler(self, seed: int) -> ChunkPolicy:
        """It has a generator of its own, so that it cannot disturb the policy's noise."""
        policy = self._controller.policy
        control = self._controller.control
        steps = control.evaluations if control.mode == 'chunk' else policy.levels.count
        return ChunkPolicy(policy, seed, evaluations=steps, control=control)

    def _spread(self, observation: Observation) -> Floats:
        return np.stack([self._sample(self._more, observation) for _ in range(self._settings.samples)])

    def _sample(self, sampler: ChunkPolicy, observation: Observation) -> Floats:
        if sampler.goal is not self._session.goal:
            sampler.set_goal(self._session.goal)
        return np.array(sampler.tick(observation).positions)


def without_figures(text: str) -> str:
    """A message without what differs from one time to the next, so that equal causes count together."""
    text = re.sub(r'(?<!limit )\b\d+ ms', 'N ms', text)
    return re.sub(r'\b\d{7,}( ns)?', 'N', re.sub(r'\d+\.\d{3,}', 'N', text))
