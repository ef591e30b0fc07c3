# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a process asks of the machine: granted, or refused with words that say what would be legal."""

import multiprocessing
import os

import pytest

pytest.importorskip('rclpy', reason='needs rclpy: a sourced ROS distribution, or the extra ros-jazzy')

import numpy as np

from dp_ros.errors import ConfigError
from dp_ros.nodes.scheduling import cpu_set, hold_memory, make_executor, pin, set_fifo

HERE = sorted(os.sched_getaffinity(0))


def in_a_process(work, *arguments):
    """What ``work`` returns in a process of its own; a text where it was refused."""
    fork = multiprocessing.get_context('fork')
    ours, theirs = fork.Pipe()

    def run():
        try:
            theirs.send(work(*arguments))
        except ConfigError as error:
            theirs.send(str(error))

    process = fork.Process(target=run)
    process.start()
    answer = ours.recv()
    process.join(10)
    return answer


@pytest.mark.parametrize('text', ['', '  '])
def test_no_processors_named_are_all(text):
    assert cpu_set(text) == set()
    before = os.sched_getaffinity(0)
    pin(set())
    assert os.sched_getaffinity(0) == before


def test_lists_and_ranges_of_processors():
    first = HERE[0]
    assert cpu_set(f'{first}') == cpu_set(f'{first}-{first}') == cpu_set(f'{first},{first}') == {first}


@pytest.mark.parametrize('text', ['one', '0-', '-1', '1-0', '0,,1', '0;1', '1.5'])
def test_what_is_no_list_of_processors_is_refused(text):
    with pytest.raises(ConfigError, match=r"cpus must be a list of processors such as '1' or '0-2,5'"):
        cpu_set(text)


def test_a_processor_that_is_not_ours_is_refused_and_the_legal_ones_named():
    foreign = max(HERE) + 1
    with pytest.raises(ConfigError) as refused:
        cpu_set(str(foreign))
    assert str([foreign]) in str(refused.value)
    assert str(HERE) in str(refused.value)


def test_pinning_reaches_threads_that_run_already():
    def pinned():
        import threading

        seen, go, ready = [], threading.Event(), threading.Event()

        def other():
            ready.set()
            go.wait(10)
            seen.append(os.sched_getaffinity(0))

        thread = threading.Thread(target=other)
        thread.start()
        ready.wait(10)
        pin({HERE[0]})
        go.set()
        thread.join(10)
        return seen == [{HERE[0]}] and os.sched_getaffinity(0) == {HERE[0]}

    assert in_a_process(pinned) is True


def test_fifo_without_the_permission_is_refused_and_says_how_to_get_it():
    def refused():
        if os.geteuid() == 0:
            os.setuid(65534)
        set_fifo(10)
        return 'permitted'

    answer = in_a_process(refused)
    if answer == 'permitted':
        pytest.skip('this user may use real-time priorities')
    assert 'fifo_priority 10: not permitted' in answer
    assert 'rtprio 10' in answer and 'CAP_SYS_NICE' in answer and 'set fifo_priority to 0' in answer


def test_fifo_where_it_is_permitted_and_priority_0_changes_nothing():
    def granted():
        set_fifo(0)
        before = os.sched_getscheduler(0)
        set_fifo(1)
        return before, os.sched_getscheduler(0), os.sched_getparam(0).sched_priority

    answer = in_a_process(granted)
    if isinstance(answer, str):
        pytest.skip(f'not permitted here: {answer[:60]}')
    assert answer == (os.sched_getscheduler(0), os.SCHED_FIFO, 1)


def test_memory_of_pictures_is_not_given_back_and_not_faulted_in_again():
    def faults():
        import resource

        if not hold_memory():
            return 'no glibc'
        for _ in range(3):
            np.ones(1_000_000, np.uint8)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(50):
            np.ones(1_000_000, np.uint8)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    answer = in_a_process(faults)
    if answer == 'no glibc':
        pytest.skip('the C library has no mallopt')
    assert answer < 244, 'one picture of 1 MB has 244 pages; 50 of them came and went'


def test_another_executor_is_refused():
    with pytest.raises(ConfigError, match=r"executor must be one of \['auto', 'events', 'single'\]"):
        make_executor('multi')
