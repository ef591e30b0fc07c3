# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What the tests of the nodes share: a domain with processes in it, and a node that looks and asks."""

import time

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger

from dp_ros.cli.ros_processes import Fleet, local_environment

RELIABLE = QoSProfile(depth=500, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


class Graph:
    """Node processes, and a node of the test that hears states and diagnostics."""

    def __init__(self, domain, logs):
        self.domain = domain
        self._started = []
        self._clients = {}
        self.fleet = Fleet(logs, local_environment(domain))
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node('test_operator', context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.states, self.engaged, self.diagnostics = [], [], {}
        self.listen(DiagnosticArray, '/diagnostics', self._on_diagnostics)
        self.node.create_subscription(
            String, '/action_node/state', lambda m: self.states.append(m.data), LATCHED
        )
        self.node.create_subscription(
            Bool, '/action_node/engaged', lambda m: self.engaged.append(m.data), LATCHED
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Not killed: what is killed leaves its shared memory behind.
        self.fleet.stop(self._started, at_once=len(self._started))
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)

    def start(self, name, executable=None, **parameters):
        """Start an executable of the package with parameters; returns the process."""
        executable = executable or name
        arguments = ['--ros-args']
        for key, value in parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            arguments += ['-p', f'{key}:={text}']
        self._started.append(name)
        images = executable == 'sim_node'
        return self.fleet.start(name, f'dp_ros.nodes.{executable}', arguments, images=images)

    def listen(self, kind, topic, callback=None, profile=RELIABLE):
        """Subscribe; without a callback, return the list that fills up."""
        heard = []
        self.node.create_subscription(kind, topic, callback or heard.append, profile)
        return heard

    def spin(self, seconds):
        """Let callbacks run for a while: for things that must not happen, for which there is no event."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def until(self, predicate, seconds=60.0, what='it'):
        """Let callbacks run until the predicate holds; fails the test after ``seconds``."""
        end = time.monotonic() + seconds
        while not predicate():
            assert time.monotonic() < end, f'waited {seconds:.0f} s in vain for {what}\n{self.logs()}'
            self.executor.spin_once(timeout_sec=0.02)

    def call(self, kind, service, **request):
        """Call a service and return its response."""
        client = self._client(kind, service)
        future = client.call_async(kind.Request(**request))
        self.until(future.done, what=f'an answer of {service}')
        return future.result()

    def engage(self, wanted=True):
        return self.call(SetBool, '/action_node/engage', data=wanted)

    def trigger(self, service):
        return self.call(Trigger, service)

    def transition(self, node, number):
        request = ChangeState.Request()
        request.transition.id = number
        return self.call(ChangeState, f'/{node}/change_state', transition=request.transition).success

    def lifecycle(self, node):
        """Label of a node's state, asked until it answers."""
        client = self._client(GetState, f'/{node}/get_state')
        for _ in range(30):
            future, end = client.call_async(GetState.Request()), time.monotonic() + 2.0
            self.until(lambda f=future, e=end: f.done() or time.monotonic() > e, what='an answer')
            if future.done():
                return future.result().current_state.label
            client.remove_pending_request(future)
        raise AssertionError(f'no answer of /{node}/get_state\n{self.logs()}')

    def active(self, *nodes):
        """Wait until these lifecycle nodes are active."""
        for node in nodes:
            self.until(lambda node=node: self.lifecycle(node) == 'active', 60.0, f'{node} to be active')

    def _client(self, kind, service):
        """The client of a service, kept: the answer to one that the server has not yet discovered is lost."""
        if service not in self._clients:
            self._clients[service] = self.node.create_client(kind, service)
        client = self._clients[service]
        if not client.service_is_ready():
            self.until(client.service_is_ready, what=f'service {service}')
            self.spin(0.2)
        return client

    def state(self):
        return self.states[-1] if self.states else ''

    def values(self, line):
        """Newest values of a line of /diagnostics."""
        return self.diagnostics.get(line, (b'', '', {}))[2]

    def message(self, line):
        """Newest message of a line of /diagnostics."""
        return self.diagnostics.get(line, (b'', '', {}))[1]

    def logs(self):
        return '\n'.join(self.fleet.tail(n, 15) for n in ('sim_node', 'policy_node', 'action_node'))

    def _on_diagnostics(self, message):
        for status in message.status:
            self.diagnostics[status.name] = (
                status.level,
                status.message,
                {v.key: v.value for v in status.values},
            )
