# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""record_node: what a policy is to learn from, as bags of episodes.

It listens to the topics of a binding and writes their messages as they come. Episodes start, stop and are judged by
services and keys; each of these events is a mark (dp_ros.bags.marks) on ~/episode and in the bag.
"""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rosbags.interfaces import Qos
from std_msgs.msg import String
from std_srvs.srv import Trigger

from dp_ros.bags.jpeg import COMPRESSED_SUFFIX, COMPRESSED_TYPE, IMAGE_TYPE, JpegCompressor
from dp_ros.bags.marks import EPISODE_TOPIC_SUFFIX, OUTCOMES, Mark
from dp_ros.errors import ConfigError, DpRosError, MessageError
from dp_ros.nodes import qos
from dp_ros.nodes.diagnostics import DiagnosticsPublisher
from dp_ros.nodes.graph import require_only_one
from dp_ros.nodes.params import declare
from dp_ros.nodes.process import run
from dp_ros.nodes.record_bag import open_bag_for
from dp_ros.nodes.record_episodes import EpisodeLog, Refused
from dp_ros.nodes.record_params import RecordParams
from dp_ros.nodes.record_queue import RecordQueue, Row
from dp_ros.nodes.record_status import RecordStatus
from dp_ros.nodes.record_streams import Stream, binding_streams, extra_stream, silent
from dp_ros.nodes.site import load_binding
from dp_ros.nodes.terminal import Terminal

_LOOK_S = 0.1
_JPEG_THREADS = 2
_KEYS = {'s': 'success', 'f': 'failure', 'd': 'discard'}
_MB = 1e6


class RecordNode(Node):
    """The wiring: streams, services and keys to a queue that a thread writes from."""

    def __init__(self) -> None:
        super().__init__('record_node')
        self.params = declare(self, RecordParams)
        self.failed = ''
        if self.params.images not in ('raw', 'jpeg'):
            raise ConfigError(f"parameter images: {self.params.images!r}, expected 'raw' or 'jpeg'")
        self._streams = binding_streams(self, load_binding(self.params.binding))
        self._awaited = [self.resolve_topic_name(topic) for topic in self.params.extra_topics]
        self._log = EpisodeLog(self.params.operator, self.params.instruction)
        self._jpeg = JpegCompressor(self.params.jpeg_quality)
        self._pool = ThreadPoolExecutor(_JPEG_THREADS, thread_name_prefix='jpeg')
        self._terminal, self._stack = Terminal(self.params.keyboard), ExitStack()
        self._queue: RecordQueue | None = None
        self._latched_early = False

    def start(self) -> None:
        """Make the bag, then listen."""
        require_only_one(self, self.params.discovery_s)
        mark_topic = f'{self.get_fully_qualified_name()}{EPISODE_TOPIC_SUFFIX}'
        self._sink = open_bag_for(self, self.params, mark_topic)
        self._queue = RecordQueue(self._sink, mark_topic, round(self.params.queue_mb * _MB))
        self._status = RecordStatus(self._sink.path, self._log, self._queue, self._streams)
        self._check()
        self._marks_out = self.create_publisher(String, f'~{EPISODE_TOPIC_SUFFIX}', qos.LATCHED)
        for stream in self._streams:
            stream.subscribe(self, partial(self._on_message, stream))
        self.create_subscription(String, '~/instruction', self._on_instruction, qos.LATCHED)
        for name in ('start', 'stop', *_KEYS.values()):
            self.create_service(Trigger, f'~/{name}', partial(self._on_service, name))
        self._diagnostics = DiagnosticsPublisher(self, self._status.lines)
        self.create_timer(_LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._stack.enter_context(self._terminal)
        self._say(f'{self._sink.path}: ready')
        if self._terminal.listens:
            self._say('[space] start and stop, [s] success, [f] failure, [d] discard, [q] quit')

    def shut_down(self) -> None:
        """End the running episode and close the bag."""
        self._stack.close()
        if self._queue is None:
            return
        if self._log.recording:
            self._mark(self._log.stop(self._now_ns()))
        self._queue.close()
        self._pool.shutdown()
        if self._queue.failure and not self.failed:
            raise ConfigError(self._queue.failure)
        self.get_logger().info(self._status.summary())

    def _on_message(self, stream: Stream, raw: bytes) -> None:
        stream.meter.hit()
        offered = stream.look(self)
        if stream.latched:
            stream.kept.append(raw)
        if self._log.recording or self.params.between_episodes:
            self._record(stream, offered, raw)

    def _record(self, stream: Stream, offered: Qos, raw: bytes) -> None:
        queue, now_ns = self._queue, self._now_ns()
        if not now_ns:
            # Before the first /clock there is no time to write down; what is latched must not be lost for that.
            self._latched_early |= stream.latched
            return
        if queue is None or not queue.room(stream.topic, len(raw)):
            return
        row = Row(stream.topic, stream.kind, offered, raw, now_ns)
        jpeg = self.params.images == 'jpeg' and stream.kind == IMAGE_TYPE
        queue.put(stream.topic, len(raw), self._pool.submit(self._compressed, row) if jpeg else row)

    def _compressed(self, row: Row) -> Row:
        """The row as JPEG; what does not become one, such as depth, stays as it is."""
        try:
            raw = self._jpeg.compress(row.raw)
        except MessageError as error:
            self.get_logger().warning(f'{row.topic}: written as it is: {error}', throttle_duration_sec=10.0)
            return row
        return row._replace(topic=row.topic + COMPRESSED_SUFFIX, kind=COMPRESSED_TYPE, raw=raw)

    def _on_service(self, name: str, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = self._command(name)
        return response

    def _on_instruction(self, message: String) -> None:
        self._log.instruction = message.data
        self._say(f'instruction of the next episode: {message.data!r}')

    def _command(self, name: str) -> tuple[bool, str]:
        """Do what a service or key asks for; whether it was done, and what is to be said about it."""
        try:
            text = self._start_episode() if name == 'start' else self._end_episode(name)
        except Refused as error:
            text = str(error)
            self._terminal.clear()
            self.get_logger().warning(text)
            return False, text
        self._say(text)
        return True, text

    def _start_episode(self) -> str:
        now_ns = self._now_ns()
        if self.failed or not now_ns:
            raise Refused(self.failed or 'there is no time yet: nothing publishes /clock')
        self._mark(self._log.start(now_ns))
        if not self.params.between_episodes:
            self._record_latched()
        missing = silent(self._streams)
        return f'episode {self._log.episode}: recording' + (
            f'; silent: {", ".join(missing)}' if missing else ''
        )

    def _record_latched(self) -> None:
        for stream in self._streams:
            for raw in stream.kept:
                self._record(stream, stream.look(self), raw)

    def _end_episode(self, name: str) -> str:
        now_ns, log = self._now_ns(), self._log
        seconds = f' after {(now_ns - log.start_ns) / 1e9:.1f} s' if log.recording else ''
        self._mark(log.judge(now_ns, name) if name in OUTCOMES else log.stop(now_ns))
        return f'episode {log.episode}: {log.outcomes[log.episode]}{seconds}'

    def _mark(self, mark: Mark) -> None:
        if self._queue is not None:
            self._queue.mark(mark)
        self._marks_out.publish(String(data=mark.to_json()))

    def _look(self) -> None:
        """Everything that is not a message: keys, topics that appear, a disk that fills up, the status line."""
        while key := self._terminal.key():
            self._on_key(key)
        self._find_extras()
        if self._latched_early and self._now_ns():
            self._latched_early = False
            self._record_latched()
        limit_s = self.params.max_episode_s
        if self._log.recording and 0 < limit_s < (self._now_ns() - self._log.start_ns) / 1e9:
            self.get_logger().warning(
                f'episode {self._log.episode} is longer than max_episode_s ({limit_s:g} s)'
            )
            self._command('stop')
        self._check()
        self._terminal.show(self._status.line(self._now_ns()))

    def _on_key(self, key: str) -> None:
        if key == ' ':
            self._command('stop' if self._log.recording else 'start')
        elif key in _KEYS:
            self._command(_KEYS[key])
        elif key == 'q':
            os.kill(os.getpid(), signal.SIGINT)

    def _find_extras(self) -> None:
        for topic in list(self._awaited):
            stream = extra_stream(self, topic)
            if stream is None:
                continue
            self._awaited.remove(topic)
            if any(known.topic == topic for known in self._streams):
                continue
            try:
                if not self._sink.knows(stream.kind):
                    raise ConfigError(f'only rosbag2_py knows the definition of {stream.kind}')
                stream.subscribe(self, partial(self._on_message, stream))
            except DpRosError as error:
                self.get_logger().error(f'extra topic {topic} is not recorded: {error}')
                continue
            self._streams.append(stream)

    def _check(self) -> None:
        """Give up in good order where the bag cannot grow."""
        queue, least = self._queue, self.params.min_free_mb
        if queue is None or self.failed:
            return
        if queue.failure:
            self.failed = queue.failure
        elif queue.free_bytes < least * _MB:
            self.failed = (
                f'{self._sink.path}: only {queue.free_bytes / _MB:.0f} MB are free (min_free_mb is {least:g}): '
                'recording stopped'
            )
        if self.failed:
            self._terminal.clear()

    def _say(self, text: str) -> None:
        self._terminal.clear()
        self.get_logger().info(text)

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)


def main() -> int:
    """Entry point of the executable."""
    return run(RecordNode)


if __name__ == '__main__':
    sys.exit(main())
