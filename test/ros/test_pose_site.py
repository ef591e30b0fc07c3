# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""An arm that is commanded by end-effector poses, through action_node as a process."""

import numpy as np
import pytest
import yaml
from geometry_msgs.msg import PoseStamped
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from dp_ros.action.chunk import ActionChunk
from dp_ros.action.pose import pose_speeds
from dp_ros.action.rotation import angle_between, quaternion_from_rotation, rotation_from_6d, rotation_to_6d
from dp_ros.contract import Arm, Contract, Embodiment, Joint, Timing
from dp_ros.contract.robot_model import axis_rotation
from dp_ros.messages.joint_state import fill_joint_state
from dp_ros.messages.pose import decode_pose, fill_pose
from dp_ros.messages.stamps import fill_time
from dp_ros.messages.trajectory import decode_trajectory, fill_chunk
from dp_ros.nodes import qos
from dp_ros.share import share_path

MS = 1_000_000
STEP = 20 * MS
SITE = yaml.safe_load(share_path('config', 'bindings', 'example_poses.yaml').read_text())
CONTROLLER = SITE['arms']['arm']['controllers'][0]
AXIS = np.array([0.0, 0.6, 0.8])
CONTRACT = Contract(
    name='poses',
    embodiment=Embodiment(
        arms=(
            Arm(
                name='arm',
                joints=tuple(
                    Joint(name=n, unit='m' if i < 3 else '1') for i, n in enumerate(CONTROLLER['joints'])
                ),
                gripper=Joint(name='finger_joint', unit='m'),
            ),
        )
    ),
    cameras=(),
    timing=Timing(obs_horizon=1, pred_horizon=16, action_horizon=4, period_ns=40 * MS),
)


class PoseRobot:
    """Clock, measured pose and finger, chunks, in steps of the test; the arm itself stands still."""

    def __init__(self, graph):
        make = graph.node.create_publisher
        self.graph, self.now_ns, self.seq = graph, 1000 * MS, 0
        self.began_ns = 0
        self.turn_speed, self.broken, self.chunking = 0.4, False, False
        self._clock = make(Clock, '/clock', qos.CLOCK)
        self._pose = make(PoseStamped, SITE['pose_states'][0]['topic'], qos.SENSOR_OUT)
        self._finger = make(JointState, '/joint_states', qos.SENSOR_OUT)
        self._chunks = make(JointTrajectory, 'policy_node/action_chunk', qos.COMMAND)
        self.poses = graph.listen(PoseStamped, CONTROLLER['topic'])
        self.fingers = graph.listen(JointTrajectory, '/gripper_controller/joint_trajectory')

    def row(self, seconds):
        """The pose (9,) so long after the start of a motion along x and about AXIS."""
        place = np.array([0.4 + 0.05 * seconds, 0.0, 0.3])
        return np.concatenate([place, rotation_to_6d(axis_rotation(AXIS, self.turn_speed * seconds))])

    def step(self):
        self.now_ns += STEP
        clock = Clock()
        fill_time(clock.clock, self.now_ns)
        self._clock.publish(clock)
        pose, finger = PoseStamped(), JointState()
        fill_pose(pose, self.now_ns, 'base_link', self.row(0.0)[:3], quaternion_from_rotation(np.eye(3)))
        self._pose.publish(pose)
        fill_joint_state(finger, self.now_ns, ('finger_joint',), np.array([0.02]))
        self._finger.publish(finger)
        if self.chunking and self.seq % 8 == 0:
            self._chunk()
        self.seq += self.chunking
        self.graph.spin(0.01)

    def step_until(self, predicate, what):
        def stepped():
            self.step()
            return predicate()

        self.graph.until(stepped, 30.0, what)

    def _chunk(self):
        self.began_ns = self.now_ns - self.seq * STEP
        since = self.seq * STEP * 1e-9
        rows = np.array([np.append(self.row(since + 0.04 * k), 0.02) for k in range(16)])
        # Networks do not make exact rotations.
        rows[:, 3:6] *= 1.3
        if self.broken:
            rows[5, 6:9] = rows[5, 3:6]
        chunk = ActionChunk(self.now_ns, 40 * MS, CONTRACT.joint_names, rows, CONTRACT.hash, 1, self.seq // 8)
        message = JointTrajectory()
        fill_chunk(message, chunk, JointTrajectoryPoint)
        self._chunks.publish(message)


@pytest.fixture
def robot(own_graph, tmp_path):
    (tmp_path / 'contract.json').write_text(CONTRACT.to_json())
    (tmp_path / 'site.yaml').write_text(yaml.safe_dump(SITE))
    robot = PoseRobot(own_graph)
    own_graph.start(
        'action_node',
        checkpoint=tmp_path,
        binding=tmp_path / 'site.yaml',
        autostart=True,
        use_sim_time=True,
        dry_run=False,
        discovery_s=0.3,
        soft_start_s=0.1,
        max_tracking_error_rad=0.0,
        max_tracking_error_m=0.0,
    )
    own_graph.active('action_node')
    robot.step_until(lambda: own_graph.engage().success, 'engaging')
    robot.chunking = True
    return robot


def counters(robot):
    return robot.graph.values('action_node: counters')


def test_poses_are_followed_as_rotations_and_brake_together(robot):
    robot.step_until(lambda: robot.graph.state().startswith('RUN'), 'RUN')
    robot.poses.clear()
    for _ in range(60):
        robot.step()
    robot.chunking = False
    robot.step_until(lambda: robot.graph.state().startswith('HOLD'), 'HOLD')
    for _ in range(40):
        robot.step()
    heard = [decode_pose(message, 'base_link') for message in robot.poses]
    stamps, rows = np.array([h[0] for h in heard]), np.array([h[1] for h in heard])
    assert len(rows) > 40
    keep = np.append(True, np.diff(stamps) > 0)
    stamps, rows = stamps[keep], rows[keep]
    gaps = np.diff(stamps) * 1e-9
    linear, angular = (speed / gaps for speed in pose_speeds(rows, 1.0))
    limits = SITE['arms']['arm']
    assert 0.2 < np.max(angular) <= limits['max_angular_velocity']
    assert 0.02 < np.max(linear) <= limits['max_linear_velocity']
    # After the soft start it is where the chunks want it, the arm's latency ahead, although these are no exact
    # rotations.
    following, lead_ns = rows[45:58], round(limits['latency_s'] * 1e9)
    wanted = np.array([robot.row((stamp + lead_ns - robot.began_ns) * 1e-9) for stamp in stamps[45:58]])
    assert np.all(angle_between(rotation_from_6d(following[:, 3:]), rotation_from_6d(wanted[:, 3:])) < 0.005)
    np.testing.assert_allclose(following[:, :3], wanted[:, :3], atol=1e-3)
    assert angular[-1] == pytest.approx(0.0, abs=1e-6)
    assert linear[-1] == pytest.approx(0.0, abs=1e-6)
    finger = decode_trajectory(robot.fingers[-1])
    assert finger.joint_names == ('finger_joint',)
    np.testing.assert_allclose(finger.positions, 0.02, atol=1e-9)


def test_numbers_that_are_no_rotation_are_rejected_and_the_arm_stops(robot):
    robot.step_until(lambda: robot.graph.state().startswith('RUN'), 'RUN')
    robot.broken = True
    robot.step_until(lambda: robot.graph.state().startswith('HOLD'), 'HOLD')
    robot.step_until(lambda: int(counters(robot).get('rejected.finite', 0)) > 0, 'the counter')
    assert (
        "arm 'arm': 6D rotation: column b" in robot.graph.values('action_node: motion')['last_refused_chunk']
    )
    assert 'no chunk for' in robot.graph.state()


def test_a_chunk_that_turns_much_too_fast_is_rejected(robot):
    robot.step_until(lambda: robot.graph.state().startswith('RUN'), 'RUN')
    robot.turn_speed, robot.seq = 12.0, 0
    robot.step_until(lambda: int(counters(robot).get('rejected.limits', 0)) > 0, 'the counter')
    assert 'angular speed of' in robot.graph.values('action_node: motion')['last_refused_chunk']
