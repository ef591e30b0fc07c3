# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The base of the lifecycle nodes: transitions that say why they failed, autostart, a clean end.

rclpy swallows what a transition raises; here it is logged, kept for /diagnostics, and everything that the
transition had built is released.
"""

import traceback
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from dp_ros.errors import ConfigError, DpRosError
from dp_ros.nodes.diagnostics import ERROR, OK, DiagnosticsPublisher, Status
from dp_ros.nodes.graph import namesakes, require_only_one
from dp_ros.nodes.params import LifecycleParams, declare
from dp_ros.nodes.scheduling import settle

P = TypeVar('P', bound=LifecycleParams)
E = TypeVar('E')


class ManagedNode(LifecycleNode, Generic[P]):
    """A lifecycle node whose transitions are the four methods below; each may raise.

    A :class:`DpRosError` refuses the transition (the node stays where it was) with its message; any other
    exception is a bug, is logged with its traceback, and leads to 'unconfigured'.
    """

    def __init__(self, name: str, schema: type[P]):
        super().__init__(name)
        self.params: P = declare(self, schema)
        self.problem = ''
        self.failed = ''
        self._owned: list[tuple[Callable[[Any], bool], Any]] = []
        self.diagnostics = DiagnosticsPublisher(self, self._report)

    def configure(self) -> None:
        """Load, check, create publishers and subscriptions; move nothing."""

    def activate(self) -> None:
        """Begin to act."""

    def deactivate(self) -> None:
        """Stop acting; called with everything still in place, also before the node ends."""

    def release(self) -> None:
        """Undo :meth:`configure`, also where it got only half way. Called more than once."""

    def status(self) -> Iterable[Status]:
        """Status lines for /diagnostics while configured."""
        return ()

    def own(self, destroy: Callable[[Any], bool], entity: E) -> E:
        """Remember a publisher, subscription, timer or service so that :meth:`disown` destroys it."""
        self._owned.append((destroy, entity))
        return entity

    def disown(self) -> None:
        """Destroy everything that :meth:`own` remembers."""
        for destroy, entity in self._owned:
            destroy(entity)
        self._owned.clear()

    @property
    def label(self) -> str:
        """Name of the lifecycle state, such as 'active'."""
        return str(self._state_machine.current_state[1])

    def start(self) -> None:
        """Configure and activate where ``autostart`` asks for it.

        Raises:
            ConfigError: a transition was refused.
        """
        if not self.params.autostart:
            return
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                self.diagnostics.publish()
                raise ConfigError(f'{self.get_fully_qualified_name()} does not start: {self.problem}')

    def shut_down(self) -> None:
        """Leave the present state in order; the last words of the node go out in :meth:`deactivate`."""
        if self.label == 'active':
            self.trigger_deactivate()
        if self.label != 'finalized':
            self.trigger_shutdown()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Refuse a second node of this name, then :meth:`configure`."""

        def checked() -> None:
            require_only_one(self, self.params.discovery_s)
            self.configure()

        result = self._transition('configure', checked)
        if result != TransitionCallbackReturn.SUCCESS:
            self.release()
        else:
            settle()
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """:meth:`activate`."""
        return self._transition('activate', self.activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """:meth:`deactivate`."""
        return self._transition('deactivate', self.deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """:meth:`release`."""
        return self._transition('clean up', self.release)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """:meth:`deactivate` where active, then :meth:`release`."""

        def both() -> None:
            if state.label == 'active':
                self.deactivate()
            self.release()

        return self._transition('shut down', both)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After a bug: release everything; the node can be configured again."""
        problem = self.problem
        result = self._transition('recover', self.release)
        self.problem = problem
        return result

    def _transition(self, what: str, body: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            body()
        except DpRosError as error:
            self.problem = f'cannot {what}: {error}'
            self.get_logger().error(self.problem)
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            self.problem = f'cannot {what}: {type(error).__name__}: {error}'
            self.get_logger().error(f'{self.problem}\n{traceback.format_exc()}')
            return TransitionCallbackReturn.ERROR
        self.problem = ''
        return TransitionCallbackReturn.SUCCESS

    def _report(self) -> list[Status]:
        problem = self.problem
        if namesakes(self):
            # Found too late to refuse configuring; action_node does not engage beside a second commander either.
            problem = problem or 'another node of this name runs'
        lines = [Status('lifecycle', ERROR if problem else OK, problem or self.label)]
        if self.label in ('inactive', 'active'):
            lines += self.status()
        return lines
