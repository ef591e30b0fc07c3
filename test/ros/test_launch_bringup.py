# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The launch files through ROS's own launch system, where there is one."""

import asyncio
import threading

import pytest

from dp_ros.share import share_path

_REASON = 'needs a sourced ROS distribution'
pytest.importorskip('launch_ros.actions', reason=_REASON)
launch = pytest.importorskip('launch', reason=_REASON)
sources = pytest.importorskip('launch.launch_description_sources', reason=_REASON)
pytest.importorskip('gym_aloha', reason='needs the extra sim')


@pytest.mark.parametrize('name', ['bringup.launch.py', 'sim.launch.py', 'replay.launch.py'])
def test_a_launch_file_loads_and_describes_its_arguments(name):
    source = sources.PythonLaunchDescriptionSource(str(share_path('launch', name)))
    description = source.get_launch_description(launch.LaunchContext())
    arguments = {argument.name: argument.description for argument in description.get_launch_arguments()}
    assert {'checkpoint', 'binding', 'namespace', 'log_level'} <= set(arguments)
    assert all(arguments.values())


def test_the_simulation_comes_up_active_and_previews(graph, checkpoint):
    service = launch.LaunchService()
    graph_environment = launch.actions.SetEnvironmentVariable('ROS_DOMAIN_ID', str(graph.domain))
    include = launch.actions.IncludeLaunchDescription(
        sources.PythonLaunchDescriptionSource(str(share_path('launch', 'sim.launch.py'))),
        launch_arguments={'checkpoint': str(checkpoint)}.items(),
    )
    service.include_launch_description(launch.LaunchDescription([graph_environment, include]))
    thread = threading.Thread(target=asyncio.run, args=(service.run_async(),), daemon=True)
    thread.start()
    try:
        graph.active('policy_node', 'action_node')
        graph.until(lambda: 'ticking' in graph.message('policy_node: observation'), 60.0, 'previews')
    finally:
        service.shutdown()
        thread.join(30)
    assert not thread.is_alive()
