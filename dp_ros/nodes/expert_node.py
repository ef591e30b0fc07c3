# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""expert_node: drives the simulated arms as a person with leader arms would, one seed after the other.

The leader arms move as the scripted expert plans, which is what a policy is to learn; the arms are commanded the same
with noise, as `dp_ros collect` does it. sim_node must be teleoperated: it waits for the answer to each moment, so that
nothing depends on the speed of the machine.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from dp_ros.action.window import Window
from dp_ros.contract import Contract
from dp_ros.errors import DpRosError, TaskError
from dp_ros.messages.joint_state import decode_joint_state, fill_joint_state
from dp_ros.messages.trajectory import fill_window
from dp_ros.nodes import qos
from dp_ros.nodes.operator import START_S, Interrupted, Operator, OperatorError, Recording
from dp_ros.nodes.process import StopSignal
from dp_ros.nodes.site import load_binding
from dp_ros.simulation.demonstration import disturbed
from dp_ros.simulation.expert import TransferCubeExpert

LEADER_TOPIC = 'leader/joint_states'
ENGAGED_TOPIC = '~/engaged'
# The expert plans for sim_node's control rate.
STEP_NS = 20_000_000
# A window holds so many steps before the moment that it answers, and after it.
_PAST, _FUTURE = 2, 8
_STEP_S, _RESET_S = 15.0, 30.0


class Course:
    """What is commanded in one episode: the leader's plan, and windows of the same with noise.

    Args:
        plan: (N, A) noise-free commands, the labels; row k is in force from step k on.
        commands: (N, A) what the arms are commanded.
        start_ns: time of step 0.
    """

    def __init__(self, plan: np.ndarray, commands: np.ndarray, start_ns: int):
        self.plan, self.start_ns = plan, start_ns
        # At rest before the first step and after the last; between, the slope that both neighbours share.
        padded = np.pad(commands, ((_PAST, _FUTURE), (0, 0)), mode='edge')
        velocities = np.zeros_like(padded)
        velocities[_PAST + 1 : _PAST + len(plan) - 1] = (commands[2:] - commands[:-2]) / (2e-9 * STEP_NS)
        self._positions, self._velocities = padded, velocities

    @property
    def end_ns(self) -> int:
        """When the last command has been in force for a step."""
        return self.start_ns + len(self.plan) * STEP_NS

    def step(self, stamp_ns: int) -> int:
        """The step that starts at a time."""
        return (stamp_ns - self.start_ns) // STEP_NS

    def window(self, step: int) -> Window:
        """Commands around a step, at rest at the end."""
        rows = slice(step, step + _PAST + 1 + _FUTURE)
        velocities = self._velocities[rows].copy()
        velocities[-1] = 0.0
        times = np.arange(_PAST + 1 + _FUTURE, dtype=np.int64) * STEP_NS
        stamp_ns = self.start_ns + (step - _PAST) * STEP_NS
        return Window(stamp_ns, times, self._positions[rows], velocities)


class ExpertNode(Operator):
    """Leader arms, and the operator who holds them."""

    def __init__(self, args: argparse.Namespace, contract: Contract, stop: StopSignal):
        super().__init__('expert_node', stop)
        self._args, self._contract = args, contract
        binding = load_binding(args.binding)
        self._episode: dict[str, str] = {}
        self._privileged: np.ndarray | None = None
        self._measured: tuple[int, np.ndarray] = (0, np.zeros(0))
        self._course: Course | None = None
        self._expert = TransferCubeExpert()
        self.successes = 0
        self.ask(Trigger, 'sim_node/reset')
        self._bag = Recording(self) if args.bag else None
        self._leader = self.create_publisher(JointState, LEADER_TOPIC, qos.RECORD_OUT)
        self._engaged = self.create_publisher(Bool, ENGAGED_TOPIC, qos.LATCHED)
        self._arms = [
            (
                arm,
                contract.embodiment.slices[arm.name],
                self.create_publisher(
                    JointTrajectory, binding.arms[arm.name].controller_topic, qos.RECORD_OUT
                ),
            )
            for arm in contract.embodiment.arms
        ]
        (joints,) = binding.joint_states
        self.create_subscription(JointState, joints.topic, self._on_joints, qos.RECORD_OUT)
        self.create_subscription(DiagnosticStatus, 'sim_node/episode', self._on_episode, qos.LATCHED)
        self.create_subscription(Float64MultiArray, 'sim_node/privileged', self._on_privileged, qos.LATCHED)

    def run(self) -> None:
        """All episodes; OperatorError where one does not run as planned."""
        self._until('the simulated robot', lambda: bool(self._episode), START_S)
        self._until('the controllers to listen', self._has_listeners, START_S)
        began = time.monotonic()
        for index in range(self._args.episodes):
            seed = self._args.seed + index
            success = self._demonstrate(seed)
            self.successes += success
            self._say(
                f'episode {index + 1}/{self._args.episodes}  seed {seed}  '
                f'{"succeeded" if success else "failed   "}  {self.successes}/{index + 1} succeeded  '
                f'{(time.monotonic() - began) / (index + 1):.2f} s an episode'
            )

    def _has_listeners(self) -> bool:
        return all(publisher.get_subscription_count() for _, _, publisher in self._arms)

    def _demonstrate(self, seed: int) -> bool:
        self._privileged = None
        if self._bag is not None:
            self._bag.announce(f'{self._contract.name}, seed {seed}')
        self.must('sim_node/reset')
        self._until(f'a reset to seed {seed}', lambda: self._stands(seed), _RESET_S)
        if self._bag is not None:
            self._bag.start()
        self._engaged.publish(Bool(data=True))
        self._until('the robot to be ready', lambda: self._episode['state'] == 'ready', _STEP_S)
        start_ns = int(self._episode['start_ns'])
        self._until('joints at the start', lambda: self._measured[0] >= start_ns, _STEP_S)
        self._begin(seed, start_ns)
        self._until('the episode to end', lambda: self._episode['state'] == 'done', START_S)
        course = self._course
        assert course is not None
        self._until('its last joints', lambda: self._measured[0] >= course.end_ns, _STEP_S)
        if (int(self._episode['start_ns']), self._measured[0]) != (start_ns, course.end_ns):
            raise OperatorError(f'seed {seed}: sim_node did not wait: is its wait_s too short?')
        success = self._episode['strict_success'] == 'True'
        if self._bag is not None:
            self._bag.end(success)
        self._course = None
        self._engaged.publish(Bool(data=False))
        return success

    def _stands(self, seed: int) -> bool:
        if self._privileged is None or self._episode['state'] != 'standing':
            return False
        if self._episode['seed'] != str(seed):
            raise OperatorError(f'sim_node stands with seed {self._episode["seed"]}, expected {seed}')
        return True

    def _begin(self, seed: int, start_ns: int) -> None:
        assert self._privileged is not None
        plan = self._expert.plan(self._privileged, self._measured[1])
        commands, _ = disturbed(plan, self._contract, seed, self._args.noise)
        self._course = Course(plan, commands, start_ns)
        self._answer(start_ns)

    def _answer(self, stamp_ns: int) -> None:
        """Lead, and command, from a moment of the robot on."""
        course = self._course
        if course is None or not course.start_ns <= stamp_ns < course.end_ns:
            return
        step = course.step(stamp_ns)
        leader = JointState()
        fill_joint_state(leader, stamp_ns, self._contract.joint_names, course.plan[step])
        self._leader.publish(leader)
        window = course.window(step)
        for arm, columns, publisher in self._arms:
            message = JointTrajectory()
            fill_window(
                message, window.for_arm(columns), arm.joint_names, str(stamp_ns), JointTrajectoryPoint
            )
            publisher.publish(message)

    def _on_joints(self, message: JointState) -> None:
        stamp_ns, names, positions = decode_joint_state(message)
        self._measured = stamp_ns, positions[[names.index(name) for name in self._contract.joint_names]]
        self._answer(stamp_ns)

    def _on_episode(self, message: DiagnosticStatus) -> None:
        self._episode = {'state': message.message, **{v.key: v.value for v in message.values}}

    def _on_privileged(self, message: Float64MultiArray) -> None:
        self._privileged = np.array(message.data)


def main(argv: list[str] | None = None) -> int:
    """Demonstrate; 0 where all episodes ran, whatever they came to."""
    parser = argparse.ArgumentParser(prog='expert_node', description='Demonstrate with the scripted expert.')
    parser.add_argument('--contract', type=Path, required=True)
    parser.add_argument('--binding', default='aloha_sim_leader')
    parser.add_argument('--episodes', type=int, default=10)
    parser.add_argument(
        '--seed', type=int, required=True, help='seed of the first episode, as sim_node has it'
    )
    parser.add_argument('--noise', type=float, default=0.03, help='largest scale of the action noise, rad')
    parser.add_argument('--bag', action='store_true', help='have record_node record the episodes')
    args = parser.parse_args(argv)
    stop = StopSignal()
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    expert, code = None, 1
    try:
        expert = ExpertNode(args, Contract.from_json(args.contract), stop)
        expert.run()
        code = 0
    except Interrupted:
        code = 130
    except TaskError as error:
        sys.stderr.write(f'\nexpert_node: the expert has no plan: {error}\n')
    except DpRosError as error:
        sys.stderr.write(f'\nexpert_node: {error}\n')
    finally:
        rclpy.try_shutdown()
    return code


if __name__ == '__main__':
    sys.exit(main())
