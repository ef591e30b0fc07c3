# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The other side of a node under test: /clock, joints, images and chunks, in steps that the test makes.

The test owns the time, so that what it asserts does not depend on the speed of the machine.
"""

import numpy as np
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from dp_ros.action.chunk import ActionChunk
from dp_ros.contract.binding import Binding
from dp_ros.messages.image import fill_image
from dp_ros.messages.joint_state import fill_joint_state
from dp_ros.messages.stamps import fill_time, to_ns
from dp_ros.messages.trajectory import decode_trajectory, fill_chunk
from dp_ros.nodes import qos
from dp_ros.share import share_path
from dp_ros.simulation.joint_trajectory_controller import JointTrajectoryController

MS = 1_000_000


STEP = 20 * MS
# Windows start so long before they are published: past_s of action_node.
PAST = 40 * MS


class FakeRobot:
    """Publishers and listeners on the node of the test; the attributes say what a step publishes.

    Attributes:
        now_ns: ROS time.
        pose: (A,) measured joints, in the contract's order; it follows nothing.
        extra: names of joints that the contract does not know.
        leave_out: names of joints that are not reported.
        moves: whether the measured joints are where the chunks say, all but those in ``blocked``.
        blocked: columns that stay where they are.
        skew_ns: what is added to the stamps of the joints.
        every: steps between two chunks.
        joints, images: whether they are published.
        image_shape: shape of the images.
        speed: of the revolute joints in the chunks, rad/s; None for no chunks. Grippers stay where they are.
        windows: arm to the messages of its controller's topic.
    """

    def __init__(self, graph, contract, seed=0):
        self._graph, self._contract = graph, contract
        self._rng = np.random.default_rng(seed)
        self.now_ns = 1000 * MS
        binding = Binding.from_yaml(share_path('config', 'bindings', 'aloha_sim.yaml'))
        self.topics = {name: arm.controller_topic for name, arm in binding.arms.items()}
        node = graph.node
        self._clock = node.create_publisher(Clock, '/clock', qos.CLOCK)
        self._joints = node.create_publisher(JointState, binding.joint_states[0].topic, qos.SENSOR_OUT)
        self._image = node.create_publisher(Image, binding.cameras['top'].topic, qos.SENSOR_OUT)
        self._chunks = self._engaged = None
        self._turning = np.array([joint.unit == 'rad' for joint in contract.embodiment.joints], float)
        self._ticks = self._epoch = 0
        self.windows = {name: graph.listen(JointTrajectory, topic) for name, topic in self.topics.items()}
        self.rest()

    def rest(self):
        """Back to a healthy robot without a policy."""
        self.pose = np.full(len(self._contract.joint_names), 0.03)
        self.extra, self.leave_out = (), ()
        self.joints, self.images, self.speed = True, False, None
        self.moves, self.blocked, self.skew_ns, self.every = False, (), 0, 8
        self.image_shape = (480, 640, 3)

    def say_engaged(self, engaged):
        """Play action_node's part for policy_node."""
        if self._engaged is None:
            self._engaged = self._graph.node.create_publisher(Bool, 'action_node/engaged', qos.LATCHED)
        self._engaged.publish(Bool(data=engaged))

    def drive(self, speed):
        """Play policy_node's part: from the next step on a chunk each 160 ms, starting at the pose."""
        if self._chunks is None:
            self._chunks = self._graph.node.create_publisher(
                JointTrajectory, 'policy_node/action_chunk', qos.COMMAND
            )
            self._graph.until(lambda: self._chunks.get_subscription_count() > 0, what='a listener to chunks')
        self.speed, self._began_ns, self._ticks = speed, self.now_ns + STEP, 0
        self._epoch += 1

    def step(self, steps=1, windows=False):
        """Publish so many control steps; with ``windows``, wait each time until both arms got theirs."""
        for _ in range(steps):
            self._publish()
            if windows:
                self._graph.until(self._answered, what=f'windows of {self.now_ns} ns')
            else:
                self._graph.spin(0.005)

    def step_until(self, predicate, seconds=10.0, what='it'):
        """Steps at no more than real time until the predicate holds; fails after ``seconds`` of wall clock."""

        def stepped():
            if predicate():
                return True
            self._publish()
            self._graph.spin(0.02)
            return predicate()

        self._graph.until(stepped, seconds, what)

    def commands(self, arm='left'):
        """(positions, velocities) each 5 ms that ros2_control's rules make of the windows so far.

        Ends 1 s after the last window: what a controller does that hears nothing more.
        """
        heard = [decode_trajectory(message) for message in self.windows[arm]]
        names = next(a.joint_names for a in self._contract.embodiment.arms if a.name == arm)
        controller = JointTrajectoryController(names, 5 * MS)
        columns = self._contract.embodiment.slices[arm]
        controller.reset(self.pose[columns])
        out = []
        for now in range(heard[0].stamp_ns + PAST, heard[-1].stamp_ns + PAST + 1000 * MS, 5 * MS):
            while heard and heard[0].stamp_ns + PAST <= now:
                window = heard.pop(0)
                controller.accept(
                    now,
                    window.stamp_ns,
                    window.joint_names,
                    window.times_ns,
                    window.positions,
                    window.velocities,
                )
            out.append(controller.update(now, self.pose[columns]))
        return np.array([p for p, _ in out]), np.array([v for _, v in out])

    def _answered(self):
        newest = (to_ns(m[-1].header.stamp) if m else 0 for m in self.windows.values())
        return all(stamp >= self.now_ns - PAST for stamp in newest)

    def _publish(self):
        self.now_ns += STEP
        clock = Clock()
        fill_time(clock.clock, self.now_ns)
        self._clock.publish(clock)
        if self.joints:
            self._publish_joints()
        if self.images and self._ticks % 2 == 0:
            message = Image()
            fill_image(message, self._rng.integers(0, 255, self.image_shape, np.uint8), self.now_ns)
            self._image.publish(message)
        if self.speed is not None and self._ticks % self.every == 0:
            self._publish_chunk()
        self._ticks += 1

    def _publish_joints(self):
        kept = [i for i, n in enumerate(self._contract.joint_names) if n not in self.leave_out]
        names = [self._contract.joint_names[i] for i in kept] + list(self.extra)
        values = np.concatenate([self._measured()[kept], np.full(len(self.extra), 9.0)])
        order = self._rng.permutation(len(names))
        message = JointState()
        fill_joint_state(message, self.now_ns + self.skew_ns, [names[i] for i in order], values[order])
        self._joints.publish(message)

    def _measured(self):
        if not self.moves or self.speed is None:
            return self.pose
        moved = self.speed * self._turning * (self.now_ns - self._began_ns) * 1e-9
        moved[list(self.blocked)] = 0.0
        return self.pose + moved

    def _publish_chunk(self):
        timing = self._contract.timing
        times = self.now_ns - self._began_ns + np.arange(timing.pred_horizon) * timing.period_ns
        chunk = ActionChunk(
            self.now_ns,
            timing.period_ns,
            self._contract.joint_names,
            self.pose + self.speed * times[:, None] * 1e-9 * self._turning,
            self._contract.hash,
            self._epoch,
            self._ticks,
        )
        message = JointTrajectory()
        fill_chunk(message, chunk, JointTrajectoryPoint)
        self._chunks.publish(message)
