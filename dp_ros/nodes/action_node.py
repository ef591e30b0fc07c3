# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""action_node: action chunks in, stamped windows for controllers out.

It owns the motion: nothing moves before somebody calls ~/engage, and every window ends at rest, so that the
controllers brake by themselves if this process dies. The decisions are in motion.py; here is the wiring. None of
this is a safety-rated function: a robot needs an emergency stop in hardware.
"""

import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from std_srvs.srv import SetBool, Trigger

from dp_ros.action.supervisor import Answer
from dp_ros.action.window import Window
from dp_ros.contract.binding import Binding
from dp_ros.contract.compare import require_match
from dp_ros.contract.robot_model import RobotModel
from dp_ros.errors import MessageError
from dp_ros.nodes.action_inputs import ActionInputs
from dp_ros.nodes.action_settings import chunk_limits, motion_limits, motion_settings
from dp_ros.nodes.action_status import status_lines
from dp_ros.nodes.action_views import ActionViews
from dp_ros.nodes.diagnostics import Status
from dp_ros.nodes.dispatch import Dispatch
from dp_ros.nodes.graph import foreign_publishers
from dp_ros.nodes.homing import Homing
from dp_ros.nodes.lifecycle import ManagedNode
from dp_ros.nodes.markers import GripperView
from dp_ros.nodes.motion import Motion
from dp_ros.nodes.outputs import TrajectoryOutput, make_outputs
from dp_ros.nodes.params import ActionParams
from dp_ros.nodes.process import run
from dp_ros.nodes.robot_model import RobotModelListener
from dp_ros.nodes.site import checkpoint_contract, load_binding

_LAST_WORDS_S = 0.5
# Of publishing in time; where none succeeds the controllers brake by themselves, and the next period goes on there.
_ATTEMPTS = 3
# No brake takes longer, unless a limit was set wrong.
_BRAKE_NS = 3_000_000_000
# How often the graph is asked for other publishers, and the ROS clock for progress.
_CONFLICT_S = 0.5
_CLOCK_S = 0.1
_VIEW_S = 0.2
_DESCRIPTION_S = 5.0


class ActionNode(ManagedNode[ActionParams]):
    """See the module; topics are in :mod:`action_inputs` and :mod:`action_views`, services in :meth:`configure`."""

    def __init__(self) -> None:
        super().__init__('action_node', ActionParams)
        self._active = False

    def configure(self) -> None:
        """Compare checkpoint and robot, then create everything; disengaged."""
        params = self.params
        binding = load_binding(params.binding)
        contract = checkpoint_contract(params.checkpoint)
        require_match(contract, binding.robot(), f'the robot of binding {binding.name!r}')
        model = self._robot_model(binding)
        limits = motion_limits(params, contract, binding, model)
        self._motion = Motion(
            contract,
            motion_settings(params, contract, binding),
            chunk_limits(params, contract, binding),
            limits,
        )
        self._conflict = ''
        self._topics = [
            c.topic for arm in contract.embodiment.arms for c in binding.arms[arm.name].controllers
        ]

        def publisher(kind: Any, topic: str, profile: Any) -> Any:
            return self.own(self.destroy_publisher, self.create_publisher(kind, topic, profile))

        # No publisher, no mistake: a dry run cannot command anything.
        rates = round(1e9 / params.rate_hz), params.forward_hz
        outputs = [] if params.dry_run else make_outputs(self, contract, binding, publisher, *rates)
        self._dispatch = Dispatch(outputs, 1.0 / params.rate_hz)
        self._views = ActionViews(self, contract.joint_names, publisher)
        self._grippers = GripperView(publisher, contract.embodiment, binding, model)
        self._inputs = ActionInputs(
            self,
            self._motion,
            binding,
            params.chunk_topic,
            params.preview_topic if params.check_preview else '',
            params.deadman_timeout_s > 0,
            self._after,
        )
        for subscription in self._inputs.subscriptions:
            self.own(self.destroy_subscription, subscription)
        # A dry run asks no controller either: its own windows go nowhere.
        way, pose = 'windows' if params.dry_run else params.start_pose_by, params.start_pose
        self._homing = self.own(
            Homing.destroy, Homing(self, self._motion, contract, binding, pose, way, self._after)
        )
        self._serve()
        self._time()
        commanding = 'dry run: nothing is commanded' if params.dry_run else f'commanding {self._topics}'
        self.get_logger().info(
            f'contract {contract.name!r} ({contract.hash[:8]}) fits binding {binding.name!r}; {commanding}; '
            'not a safety-rated function'
        )

    def _robot_model(self, binding: Binding) -> RobotModel | None:
        """The robot description, where the binding names its topic; without it the binding must hold all limits."""
        if not binding.robot_description:
            return None
        listener = RobotModelListener(self, binding.robot_description)
        self.own(self.destroy_subscription, listener.subscription)
        return listener.wait(_DESCRIPTION_S)

    def activate(self) -> None:
        """Accept engagements."""
        self._active = self._inputs.active = True
        self._views.state(self._motion.state)

    def deactivate(self) -> None:
        """Last words: brake, say so, and wait until the controllers have it."""
        window = self._motion.last_words(self._now_ns())
        if window is not None:
            self._publish(window)
            self.get_logger().info('braking window published')
            self._brake_out(window)
        self._homing.look()
        self._motion.let_go()
        self._views.state(self._motion.state)
        self._active = self._inputs.active = False
        for output in self._dispatch.outputs:
            output.publisher.wait_for_all_acked(Duration(seconds=_LAST_WORDS_S))
        self._views.flush(_LAST_WORDS_S)

    def _brake_out(self, window: Window) -> None:
        """Carry the brake out for controllers that know no windows: they stop with a step where nobody does."""
        plan = self._motion.track.plan
        outputs = [o for o in self._dispatch.outputs if not isinstance(o, TrajectoryOutput)]
        if plan is None or not outputs:
            return
        # No callback runs meanwhile, so a ROS clock that is a topic stands still: count on the steady one.
        start_ns, began = self._now_ns(), time.monotonic()
        period_s = min(o.period_ns or 1e9 / self.params.rate_hz for o in outputs) * 1e-9
        while True:
            now_ns = start_ns + round((time.monotonic() - began) * 1e9)
            for output in outputs:
                output.send(output.prepare(window, self._motion.chunk_id, plan, now_ns))
            if now_ns > plan.end_ns or now_ns - start_ns > _BRAKE_NS:
                return
            time.sleep(period_s)

    def release(self) -> None:
        """Destroy publishers, subscriptions, services and timers."""
        self._active = False
        self.disown()

    def _serve(self) -> None:
        def trigger(ask: Callable[[int], Answer]) -> Any:
            return lambda _, response: self._answer(response, ask(self._now_ns()))

        for kind, name, callback in (
            (SetBool, '~/engage', self._on_engage),
            (Trigger, '~/hold', trigger(self._motion.hold)),
            (Trigger, '~/clear_fault', trigger(self._motion.clear_fault)),
            (Trigger, '~/go_to_start', trigger(self._go_to_start)),
        ):
            self.own(self.destroy_service, self.create_service(kind, name, callback))

    def _time(self) -> None:
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        for period_s, callback, clock in (
            (1.0 / self.params.rate_hz, self._on_timer, None),
            (_CONFLICT_S, self._look_for_others, steady),
            (_CLOCK_S, self._look_at_clock, steady),
            (_VIEW_S, self._show_grippers, steady),
        ):
            self.own(self.destroy_timer, self.create_timer(period_s, callback, clock=clock))
        for output in self._dispatch.outputs:
            if output.period_ns:
                stream = self._streamed(output)
                self.own(self.destroy_timer, self.create_timer(output.period_ns * 1e-9, stream))

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _on_timer(self) -> None:
        if not self._active:
            return
        window = self._motion.tick(self._now_ns())
        if window is not None:
            self._publish(window, regular=True)
        else:
            self._dispatch.silent()
        self._homing.look()
        self._views.state(self._motion.state)

    def _after(self, window: Window | None) -> None:
        """Something happened: publish the window that it led to, or the brake, at once, and say the new state."""
        if not self._active:
            return
        self._homing.look()
        chunk, self._motion.accepted = self._motion.accepted, None
        window = window or self._motion.urgent(self._now_ns())
        if window is not None:
            self._publish(window)
        if chunk is not None:
            self._views.chunk(chunk)
            self._grippers.chunk(chunk)
        self._views.state(self._motion.state)

    def _publish(self, window: Window, regular: bool = False) -> None:
        motion = self._motion
        for _ in range(_ATTEMPTS):
            plan, chunk_id = motion.track.plan, motion.chunk_id
            if plan is None:
                return
            try:
                sent = self._dispatch.publish(
                    window, chunk_id, plan, self._now_ns(), regular, lambda: motion.track.late(self._now_ns())
                )
            except MessageError as error:
                # Nothing went out to anybody. The brake follows with the next period.
                motion.unsendable(self._now_ns(), f'a command cannot be sent: {error}')
                return
            if sent:
                self._views.window(window, chunk_id)
                return
            self.get_logger().warning(
                'a window came too late to be published: this process gets too little time',
                throttle_duration_sec=5.0,
            )
            anew = motion.recut(self._now_ns())
            if anew is None:
                return
            window = anew
        motion.track.unsent(self._now_ns())

    def _streamed(self, output: Any) -> Callable[[], None]:
        def stream() -> None:
            now_ns = self._now_ns()
            plan = self._motion.streamed(now_ns) if self._active else None
            if plan is None:
                return
            try:
                self._dispatch.stream(output, self._motion.chunk_id, plan, now_ns)
            except MessageError as error:
                self._motion.fault(self._now_ns(), 'output', f'a command cannot be sent: {error}')
                self._after(None)

        return stream

    def _on_engage(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        now_ns = self._now_ns()
        if not request.data:
            return self._answer(response, self._motion.disengage(now_ns))
        obstacle = self._obstacle(now_ns)
        if not obstacle:
            chunkers = foreign_publishers(self, self.params.chunk_topic, 0)
            if len(chunkers) > 1:
                obstacle = (
                    f'{len(chunkers)} publishers of action chunks on {self.params.chunk_topic}: {chunkers}'
                )
        refused = Answer(self._motion.state, False, obstacle)
        return self._answer(response, refused if obstacle else self._motion.engage(now_ns))

    def _go_to_start(self, now_ns: int) -> Answer:
        obstacle = self._obstacle(now_ns)
        return Answer(self._motion.state, False, obstacle) if obstacle else self._homing.ask(now_ns)

    def _obstacle(self, now_ns: int) -> str:
        """Why moving is out of the question, as far as the graph goes; empty where it is not."""
        if not self._active:
            return f'the node is {self.label}, not active'
        if not now_ns:
            return 'no /clock yet, but use_sim_time is set'
        conflict = self._others()
        return conflict if self.params.publisher_conflict == 'error' else ''

    def _answer(self, response: Any, answer: Answer) -> Any:
        response.success, response.message = answer.success, answer.message
        # Two calls, not one through a variable: rclpy fixes the severity of a line when it first logs there.
        if answer.success:
            self.get_logger().info(answer.message)
        else:
            self.get_logger().warning(answer.message)
        self._after(None)
        return response

    def _others(self) -> str:
        """Who else commands our controllers; empty where nobody does."""
        own = 0 if self.params.dry_run else 1
        others = {t: foreign_publishers(self, t, own) for t in self._topics}
        taken = [f'{topic} by {nodes}' for topic, nodes in others.items() if nodes]
        return f'also commanded by others: {"; ".join(taken)}' if taken else ''

    def _look_for_others(self) -> None:
        found = self._others()
        if found and not self._conflict:
            self._motion.counters['publisher_conflicts'] += 1
        self._conflict = found
        if found and self._motion.state.driving:
            if self.params.publisher_conflict == 'error':
                self._motion.fault(self._now_ns(), 'publisher_conflict', found)
                self._after(None)
            else:
                self.get_logger().warning(found, throttle_duration_sec=5.0)

    def _look_at_clock(self) -> None:
        self._motion.watch_clock(self._now_ns(), time.monotonic())
        self._after(None)

    def _show_grippers(self) -> None:
        now_ns, measured = self._now_ns(), self._motion.measured
        known = measured.age_ns(now_ns) is not None
        self._grippers.motion(now_ns, self._motion.track.plan, measured.newest if known else None)

    def status(self) -> Iterable[Status]:
        """State, rates, ages and counters."""
        return status_lines(
            self._motion, self._inputs, self._dispatch, self._now_ns(), self._conflict, self.params.dry_run
        )


def main() -> int:
    """Entry point of the executable."""
    return run(ActionNode)


if __name__ == '__main__':
    sys.exit(main())
