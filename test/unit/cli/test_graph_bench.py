# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The pieces of `dp_ros bench graph` that need no ROS: parameters, use of processes, policies that stand still."""

import os
import threading
import time

import numpy as np
import pytest
import torch

from dp_ros.cli.bench_graph import node_parameters
from dp_ros.cli.graph_checkpoint import export_tick, still_checkpoint, two_cameras, write_graph_site
from dp_ros.cli.process_usage import UsageLog, usage
from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding
from dp_ros.contract.compare import require_match
from dp_ros.errors import ConfigError
from dp_ros.policy.backends import BACKENDS
from dp_ros.policy.checkpoint import load_checkpoint
from dp_ros.policy.modes import make_controller
from dp_ros.policy.runtime import use_backend
from dp_ros.policy.testing import tiny_policy
from dp_ros.share import share_path


@pytest.fixture
def contract():
    return two_cameras(Contract.from_json(share_path('config', 'contracts', 'aloha_transfer_cube.json')))


def test_parameters_go_to_their_nodes():
    asked = node_parameters(['policy_node.cpus=1', 'policy_node.seed=3', 'action_node.cpus=0'])
    assert asked == {'policy_node': {'cpus': '1', 'seed': '3'}, 'action_node': {'cpus': '0'}}


@pytest.mark.parametrize('text', ['cpus=1', 'policy_node.cpus', 'other_node.cpus=1', 'policy_node.=1', ''])
def test_parameters_of_another_form_are_refused(text):
    with pytest.raises(ConfigError, match=r'NODE\.PARAMETER=VALUE'):
        node_parameters([text])


def test_a_still_policy_has_the_same_network_another_rate_and_stays_by_its_pose(contract, tmp_path):
    policy = tiny_policy(contract)
    pose = torch.linspace(-1.0, 1.0, len(contract.joint_names), dtype=torch.float64)
    loaded = load_checkpoint(still_checkpoint(tmp_path / 'still', policy, pose, 20.0))
    assert loaded.contract.timing.tick_ns == 50_000_000
    for name, weights in policy.network.state_dict().items():
        torch.testing.assert_close(loaded.network.state_dict()[name], weights.half().float())
    tokens = torch.ones(1, loaded.network.num_tokens, loaded.network.token_dim)
    actions = loaded.to_actions(tokens, loaded.origin(pose))
    np.testing.assert_allclose(actions[0], np.tile(pose, (len(actions[0]), 1)), atol=0.0011)


@pytest.mark.parametrize('backend', ['eager', 'onnxruntime'])
def test_the_tick_of_a_still_policy_runs_on_a_backend(contract, tmp_path, backend):
    for module in BACKENDS[backend].libraries if backend in BACKENDS else ():
        pytest.importorskip(module)
    checkpoint = still_checkpoint(tmp_path / 'still', tiny_policy(contract), torch.zeros(14), 20.0)
    export_tick(checkpoint, backend)
    controller = make_controller(load_checkpoint(checkpoint))
    assert use_backend(controller, backend, checkpoint, threads=1) == backend
    assert (controller.runtime is None) == (backend == 'eager')


def test_a_rate_that_is_none_is_refused(contract, tmp_path):
    with pytest.raises(ConfigError, match='--tick-hz must be positive'):
        still_checkpoint(tmp_path, tiny_policy(contract), torch.zeros(14), 0.0)


def test_the_site_s_binding_carries_the_cameras_of_the_contract(contract, tmp_path):
    binding = Binding.from_yaml(write_graph_site(tmp_path, contract))
    require_match(contract, binding.robot(), 'the robot')
    assert list(binding.cameras) == ['top', 'wrist']


def test_use_of_a_process_and_of_none():
    began = usage(os.getpid())
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    after = usage(os.getpid())
    assert after.cpu_s > began.cpu_s
    assert after.rss_mib > 10.0
    assert after.threads >= threading.active_count()
    assert usage(2**22 + 1) is None


def test_a_log_says_how_a_stretch_began_and_ended():
    log = UsageLog({'me': os.getpid()})
    assert log.between(0, 2**63) == {}
    with log:
        time.sleep(2.3)
    use = log.between(0, 2**63)['me']
    assert use['rss_most_mib'] >= max(use['rss_start_mib'], use['rss_end_mib'])
    assert 0.0 <= use['cpu'] < os.cpu_count() + 1
