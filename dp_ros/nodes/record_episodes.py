# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Which episode is being recorded, and what the operator said about it. No ROS here."""

from dp_ros.bags.marks import Mark
from dp_ros.errors import DpRosError


class Refused(DpRosError):
    """What the operator asks for does not fit the moment."""


class EpisodeLog:
    """Makes the marks of one session, in order.

    Attributes:
        instruction: what the next episode is for.
        recording: whether an episode runs.
        episode: number of the newest episode, -1 before the first.
        start_ns: when it started.
        outcomes: of all episodes that have stopped, by number.
    """

    def __init__(self, operator: str, instruction: str):
        self._operator = operator
        self.instruction = instruction
        self.recording = False
        self.episode = -1
        self.start_ns = 0
        self.outcomes: dict[int, str] = {}
        self._given = ''

    def start(self, now_ns: int) -> Mark:
        """Begin an episode.

        Raises:
            Refused: one runs already.
        """
        if self.recording:
            raise Refused(f'episode {self.episode} is being recorded: stop it first')
        self.recording = True
        self.episode += 1
        self.start_ns = now_ns
        self._given = self.instruction
        return self._mark('start', now_ns)

    def stop(self, now_ns: int, outcome: str = 'unmarked') -> Mark:
        """End the running episode.

        Raises:
            Refused: none runs.
        """
        if not self.recording:
            raise Refused('no episode is being recorded')
        self.recording = False
        self.outcomes[self.episode] = outcome
        return self._mark('stop', now_ns)

    def judge(self, now_ns: int, outcome: str) -> Mark:
        """The outcome of the running episode, which ends it, or of the last one.

        Raises:
            Refused: there was no episode yet.
        """
        if self.recording:
            return self.stop(now_ns, outcome)
        if self.episode < 0:
            raise Refused('no episode has been recorded yet')
        self.outcomes[self.episode] = outcome
        return self._mark('judge', now_ns)

    def _mark(self, event: str, now_ns: int) -> Mark:
        return Mark(
            event=event,
            episode=self.episode,
            stamp_ns=now_ns,
            outcome='unmarked' if event == 'start' else self.outcomes[self.episode],
            instruction=self._given,
            operator=self._operator,
        )
