# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""sim_node: a simulated robot behind the topics of a real one.

/clock, joint states, camera images and one joint trajectory controller per arm; ~/reset, ~/episode and ~/privileged are
what a real robot would not have. The loop itself (sim_loop.py) runs in a thread of its own, which also renders.
"""

import sys
import threading
import traceback
from functools import partial

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool, Float64MultiArray
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from dp_ros.contract.compare import require_match
from dp_ros.errors import DpRosError, MessageError
from dp_ros.messages.header_bytes import header_of
from dp_ros.messages.image import fill_image
from dp_ros.messages.joint_state import fill_joint_state
from dp_ros.messages.stamps import fill_time
from dp_ros.messages.trajectory_bytes import TrajectoryReader
from dp_ros.nodes import qos
from dp_ros.nodes.diagnostics import ERROR, OK, DiagnosticsPublisher, Status
from dp_ros.nodes.graph import require_only_one
from dp_ros.nodes.params import SimParams, declare
from dp_ros.nodes.process import run
from dp_ros.nodes.sim_inbox import ArmCommand, SimInbox
from dp_ros.nodes.sim_loop import SimLoop, SimSettings
from dp_ros.nodes.site import load_binding
from dp_ros.nodes.trajectories import trajectory_reader
from dp_ros.simulation.robot import EpisodeResult, SimulatedRobot, make_task

_RESET_S = 10.0
_START_S = 60.0
_QUIET_S = 0.3


class SimNode(Node):
    """The wiring; it is the port through which the loop publishes."""

    def __init__(self) -> None:
        super().__init__('sim_node')
        self.params = declare(self, SimParams)
        self.failed = ''
        self._binding = load_binding(self.params.binding)
        self._loop: SimLoop | None = None
        self._inbox = SimInbox(self._binding.arms)
        self._ready = threading.Event()
        self._diagnostics = DiagnosticsPublisher(self, self._status)
        self._thread = threading.Thread(target=self._simulate, name='simulation', daemon=True)

    def start(self) -> None:
        """Build the robot, then listen; a task or binding that does not fit ends the process."""
        require_only_one(self, self.params.discovery_s)
        self._clock_out = self.create_publisher(Clock, '/clock', qos.CLOCK)
        self._joints_out = self.create_publisher(
            JointState, self._binding.joint_states[0].topic, qos.SENSOR_OUT
        )
        self._commanded_out = self.create_publisher(JointState, '~/commanded', qos.RECORD_OUT)
        self._images_out = {
            name: self.create_publisher(Image, camera.topic, qos.SENSOR_OUT)
            for name, camera in self._binding.cameras.items()
        }
        self._episode_out = self.create_publisher(DiagnosticStatus, '~/episode', qos.LATCHED)
        self._privileged_out = self.create_publisher(Float64MultiArray, '~/privileged', qos.LATCHED)
        self._thread.start()
        if not self._ready.wait(_START_S) and not self.failed:
            self.failed = f'the simulator does not start within {_START_S:.0f} s'
        for name, arm in self._binding.arms.items():
            self.create_subscription(
                JointTrajectory,
                arm.controller_topic,
                partial(self._on_window, name, trajectory_reader()),
                qos.CONTROLLER_IN,
                raw=True,
            )
        for topic, callback in (
            (self.params.chunk_topic, self._on_chunk),
            (self.params.preview_topic, self._on_preview),
        ):
            self.create_subscription(JointTrajectory, topic, callback, qos.COMMAND, raw=True)
        self.create_subscription(Bool, self.params.engaged_topic, self._on_engaged, qos.LATCHED)
        self.create_service(Trigger, '~/reset', self._on_reset)

    def shut_down(self) -> None:
        """End the loop and join its thread."""
        self._inbox.close()
        if self._thread.is_alive():
            self._thread.join(_RESET_S)

    def clock(self, stamp_ns: int) -> None:
        """Publish simulated time."""
        message = Clock()
        fill_time(message.clock, stamp_ns)
        self._clock_out.publish(message)

    def joints(self, stamp_ns: int, positions: np.ndarray, velocities: np.ndarray) -> None:
        """Publish measured joints, in the order of the shuffled names: order means nothing on this topic."""
        message = JointState()
        order = self._order
        names = [self._names[i] for i in order]
        fill_joint_state(message, stamp_ns, names, positions[order], velocities[order])
        self._joints_out.publish(message)

    def commanded(self, stamp_ns: int, positions: np.ndarray, velocities: np.ndarray) -> None:
        """Publish what the controllers command."""
        message = JointState()
        fill_joint_state(message, stamp_ns, self._names, positions, velocities)
        self._commanded_out.publish(message)

    def image(self, stamp_ns: int, camera: str, image: np.ndarray) -> None:
        """Publish a picture."""
        message = Image()
        fill_image(message, image, stamp_ns, f'{camera}_optical_frame')
        self._images_out[camera].publish(message)

    def episode(self, state: str, result: EpisodeResult, start_ns: int, real_time_factor: float) -> None:
        """Publish how the episode stands."""
        values = {
            'seed': result.seed,
            'steps': result.steps,
            'success': result.success,
            'strict_success': result.strict_success,
            'max_reward': result.max_reward,
            'start_ns': start_ns,
            'real_time_factor': f'{real_time_factor:.3f}',
        }
        self._episode_out.publish(
            DiagnosticStatus(
                level=OK,
                name=f'{self.get_name()}: {self.params.task}',
                message=state,
                values=[KeyValue(key=k, value=str(v)) for k, v in values.items()],
            )
        )

    def privileged(self, values: np.ndarray) -> None:
        """Publish what no sensor tells."""
        self._privileged_out.publish(Float64MultiArray(data=values.tolist()))

    def warn(self, text: str) -> None:
        """Log, at most once a second."""
        self.get_logger().warning(text, throttle_duration_sec=1.0)

    def _simulate(self) -> None:
        """The simulation's thread; whatever ends it early ends the process."""
        robot: SimulatedRobot | None = None
        try:
            robot = make_task(self.params.task)
            self._loop = self._make_loop(robot)
            self._ready.set()
            self._loop.run()
        except DpRosError as error:
            self.failed = str(error)
        except Exception:
            self.failed = traceback.format_exc()
        finally:
            self._ready.set()
            if robot is not None:
                robot.close()

    def _make_loop(self, robot: SimulatedRobot) -> SimLoop:
        params, contract = self.params, robot.contract
        require_match(contract, self._binding.robot(), f'the robot of binding {self._binding.name!r}')
        self._names = contract.joint_names
        self._order = np.random.default_rng(params.shuffle_seed).permutation(len(self._names))
        settings = SimSettings(
            first_seed=params.first_seed,
            realtime=params.realtime,
            image_period_ns=round(1e9 / params.camera_hz),
            tick_ns=round(params.tick_s * 1e9) or contract.timing.tick_ns,
            wait_s=params.wait_s,
            teleoperated=params.teleoperated,
        )
        return SimLoop(robot, contract.embodiment, tuple(self._binding.cameras), settings, self._inbox, self)

    def _on_window(self, arm: str, reader: TrajectoryReader, raw: bytes) -> None:
        try:
            window = reader.read(raw)
        except MessageError as error:
            self.warn(f'{arm} controller: {error}')
            return
        self._inbox.put_command(
            arm,
            ArmCommand(
                window.frame_id,
                window.stamp_ns,
                window.joint_names,
                window.times_ns,
                window.positions,
                window.velocities,
            ),
        )

    def _on_chunk(self, raw: bytes) -> None:
        self._inbox.put_chunk(*header_of(raw))

    def _on_preview(self, raw: bytes) -> None:
        self._inbox.put_preview(header_of(raw)[0])

    def _on_engaged(self, message: Bool) -> None:
        self._inbox.put_engaged(message.data)

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._inbox.engaged:
            response.success, response.message = False, 'the arms are engaged: disengage action_node first'
        elif self._inbox.quiet_s < _QUIET_S:
            # A window that comes after the reset would drag the arms to where they were before.
            response.success, response.message = (
                False,
                'the controllers still receive windows: wait for the brake',
            )
        elif self._inbox.request_reset(_RESET_S):
            response.success, response.message = True, f'reset, seed {self._loop.seed if self._loop else "?"}'
        else:
            response.success, response.message = False, f'no reset within {_RESET_S:.0f} s'
        return response

    def _status(self) -> list[Status]:
        loop = self._loop
        if self.failed or loop is None:
            return [Status('simulation', ERROR if self.failed else OK, self.failed or 'starting')]
        pace = 'real time' if self.params.realtime else 'lockstep'
        values = {'real_time_factor': loop.real_time_factor, 'seed': loop.seed}
        return [
            Status('simulation', OK, f'{self.params.task}, {pace}', values),
            Status('counters', OK, 'since the start', loop.counters),
        ]


def main() -> int:
    """Entry point of the executable."""
    return run(SimNode)


if __name__ == '__main__':
    sys.exit(main())
