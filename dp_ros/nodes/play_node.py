# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""play_node: publishes a bag on the graph, with the QoS of the recording and with its time on /clock.

It does what ``ros2 bag play --clock`` does, where there is no ros2cli, and can wait for a policy (play_lockstep.py).
The clock never runs ahead of a message that has not been published yet.
"""

import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.time import Time
from rosgraph_msgs.msg import Clock
from std_srvs.srv import Trigger

from dp_ros.bags.reader import BagMessage, open_bag
from dp_ros.errors import BagError, ConfigError, DpRosError, MessageError
from dp_ros.nodes import qos
from dp_ros.nodes.bag_clock import BagClock
from dp_ros.nodes.bag_outlets import CLOCK, make_outlets
from dp_ros.nodes.params import declare
from dp_ros.nodes.play_lockstep import Lockstep
from dp_ros.nodes.play_params import PlayParams
from dp_ros.nodes.process import StopSignal
from dp_ros.nodes.site import load_binding
from dp_ros.nodes.terminal import Terminal

# While messages are late, services and keys are still looked at so often.
_SPIN_S = 0.02
_LAST_S = 2.0


class Ended(Exception):
    """The player was asked to end."""


class PlayNode(Node):
    """Everything happens in the thread that calls :meth:`play`.

    Attributes:
        left_out: whether something of the bag could not be played, or is wrong with it.
    """

    def __init__(self, stop: StopSignal):
        super().__init__('play_node')
        self._stop = stop
        self.params = params = declare(self, PlayParams)
        if not params.bag:
            raise ConfigError('parameter bag is not set: give the directory of a bag')
        if params.lockstep and (params.loop or not params.checkpoint or not params.binding):
            raise ConfigError('lockstep needs checkpoint and binding, and plays a bag once')
        self.bag = open_bag(Path(params.bag))
        for topic, info in self.bag.topics.items():
            if info.problem and info.count:
                self.get_logger().warning(f'bag {self.bag.name!r}, topic {topic}: left out: {info.problem}')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)
        binding = load_binding(params.binding) if params.binding else None
        self._lockstep = Lockstep(self, params, binding, self._until) if params.lockstep and binding else None
        self._clock_out = self.create_publisher(Clock, CLOCK, qos.CLOCK)
        # In lockstep nothing may get lost.
        self._outlets = make_outlets(self, self.bag, params.topics.split(), binding, reliable=params.lockstep)
        self.get_logger().info(f'bag {self.bag.name!r}: publishing {list(self._outlets)}')
        self._start_ns = self.bag.start_ns + round(params.start_s * 1e9)
        self._stop_ns = self._start_ns + round(params.duration_s * 1e9) if params.duration_s else None
        self._time = BagClock(self._start_ns, params.rate, time.monotonic(), params.paused)
        self._clock_due = self._spun = 0.0
        self._played = 0
        self.left_out = False
        self._terminal = Terminal()
        for name, wanted in (('pause', True), ('resume', False), ('toggle', None)):
            self.create_service(Trigger, f'~/{name}', self._pausing(wanted))

    def play(self) -> None:
        """Publish the bag.

        Raises:
            Ended: after a signal.
            ConfigError: in lockstep, the policy does not answer.
        """
        with self.bag, self._terminal:
            if self._lockstep is not None:
                self._lockstep.start({topic: outlet.publisher for topic, outlet in self._outlets.items()})
            end = time.monotonic() + self.params.discovery_s
            while time.monotonic() < end:
                self._say_time(self._start_ns)
                self._spin(end - time.monotonic())
            self._time.set(self._start_ns, time.monotonic())
            self._once()
            while self.params.loop:
                self.get_logger().warning(
                    f'from the start again: the clock jumps back by {(self._last_ns - self._start_ns) / 1e9:.3f} s'
                )
                self._time.set(self._start_ns, time.monotonic())
                self._once()
            for outlet in self._outlets.values():
                outlet.publisher.wait_for_all_acked(Duration(seconds=_LAST_S))
        waited = f', {self._lockstep.waits} chunks waited for' if self._lockstep else ''
        self.get_logger().info(f'{self._played} messages played{waited}')
        for problem in self.bag.problems:
            self.left_out = True
            self.get_logger().warning(f'bag {self.bag.name!r}: {problem}')

    def _once(self) -> None:
        self._last_ns = self._start_ns
        for message in self.bag.messages(self._outlets, self._start_ns, self._stop_ns):
            self._wait_for(message.log_ns)
            # Those who hear the message shall not think that it comes from the future.
            self._say_time(message.log_ns)
            self._send(message)
            self._last_ns = message.log_ns
            self._played += 1
            waited = self._lockstep is not None and self._lockstep.after(message)
            if waited or not self.params.rate:
                self._time.set(message.log_ns, time.monotonic())

    def _send(self, message: BagMessage) -> None:
        try:
            self._outlets[message.topic].send(message)
        except (BagError, MessageError) as error:
            self.left_out = True
            self.get_logger().warning(f'skipped: {error}', throttle_duration_sec=1.0)

    def _wait_for(self, log_ns: int) -> None:
        while True:
            now = time.monotonic()
            wait_s = self._time.seconds_until(log_ns, now)
            if wait_s <= 0:
                if now - self._spun > _SPIN_S:
                    self._spin(0.0)
                return
            if now >= self._clock_due:
                self._say_time(min(self._time.now_ns(now), log_ns))
            self._spin(min(wait_s, self._clock_due - now))

    def _until(self, what: str, holds: Callable[[], bool], seconds: float) -> None:
        """Spin until the predicate holds; the clock stands meanwhile."""
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                raise ConfigError(f'waited {seconds:.0f} s in vain for {what}; see /diagnostics and its log')
            self._spin(_SPIN_S)

    def _spin(self, timeout_s: float) -> None:
        self._executor.spin_once(timeout_sec=max(0.0, timeout_s))
        self._spun = time.monotonic()
        if self._stop.is_set():
            raise Ended
        if self._terminal.key() == ' ':
            self._time.pause(not self._time.paused, self._spun)
        state = 'paused' if self._time.paused else f'{self._time.rate:g} x'
        at_s = (self._time.now_ns(self._spun) - self.bag.start_ns) * 1e-9
        whole_s = (self.bag.end_ns - self.bag.start_ns) * 1e-9
        self._terminal.show(
            f'{min(at_s, whole_s):6.1f} of {whole_s:.1f} s  {state}  {self._played} messages  [space] [ctrl-c]'
        )

    def _say_time(self, now_ns: int) -> None:
        self._clock_out.publish(Clock(clock=Time(nanoseconds=now_ns).to_msg()))
        self._clock_due = time.monotonic() + 1.0 / self.params.clock_hz

    def _pausing(self, wanted: bool | None) -> Callable[[Any, Any], Any]:
        def answer(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            paused = not self._time.paused if wanted is None else wanted
            self._time.pause(paused, time.monotonic())
            response.success, response.message = True, 'paused' if paused else 'playing'
            return response

        return answer


def main() -> int:
    """Entry point of the executable: 0 at the end of the bag or after a signal, 1 if something was left out."""
    stop = StopSignal()
    rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    code = 1
    try:
        node = PlayNode(stop)
        node.play()
        code = int(node.left_out)
    except Ended:
        code = 0
    except DpRosError as error:
        get_logger('play_node').fatal(str(error))
    except Exception:
        get_logger('play_node').fatal(traceback.format_exc())
    finally:
        rclpy.try_shutdown()
    return code


if __name__ == '__main__':
    sys.exit(main())
