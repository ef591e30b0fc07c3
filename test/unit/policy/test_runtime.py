# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Backends: the chunks of the eager tick, or a refusal that says why."""

import importlib.util
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from dp_ros.cli.main import main
from dp_ros.contract import Arm, Camera, Contract, Embodiment, Joint, Timing, Vector
from dp_ros.errors import BackendError
from dp_ros.observation.observation import Observation
from dp_ros.policy import runtime
from dp_ros.policy.artefact import artefact_folder
from dp_ros.policy.backends import BACKENDS
from dp_ros.policy.backends.cuda_graphs import in_bfloat16
from dp_ros.policy.checkpoint import load_checkpoint
from dp_ros.policy.config import SAMPLER_NAMES, ControlConfig
from dp_ros.policy.goal import Goal
from dp_ros.policy.modes import make_controller
from dp_ros.policy.runtime import BACKEND_NAMES, export, largest_error, use_backend
from dp_ros.policy.testing import tiny_checkpoint

CONTRACT = Contract(
    name='toy',
    embodiment=Embodiment(arms=(Arm(name='arm', joints=(Joint(name='a'), Joint(name='b'))),)),
    cameras=(Camera(name='top', source_size=(16, 24), crop=(0, 0, 16, 24), size=(16, 24)),),
    timing=Timing(obs_horizon=2, pred_horizon=8, action_horizon=2, period_ns=40_000_000),
    goals=('instruction',),
    vectors=(Vector(name='cube', dim=3),),
)
# Everything that a graph can hold at once, so that one export shows that all of it goes through.
RICH = ControlConfig(evaluations=2, guidance=2.0)
SIZES = {'experts': 3, 'past_tokens': 1}


def need(name):
    missing = BACKENDS[name].missing()
    for module in ('onnx', 'onnxscript') if BACKENDS[name].has_artefact else ():
        missing = missing or (module if importlib.util.find_spec(module) is None else None)
    if missing:
        pytest.skip(f'{missing} is not installed')


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """With an ONNX Runtime artefact of the rich tick, where that can be made."""
    return tiny_checkpoint(tmp_path_factory.mktemp('runtime') / 'rich', CONTRACT, **SIZES)


@pytest.fixture(scope='module')
def exported(checkpoint):
    need('onnxruntime')
    export(make_controller(load_checkpoint(checkpoint), control=RICH), 'onnxruntime', checkpoint)
    return checkpoint


def assert_same_chunks(checkpoint, name, control, atol):
    """Over ticks that roll the buffer, a new epoch and another goal."""
    policy = load_checkpoint(checkpoint)
    eager, other = (make_controller(policy, 1, control) for _ in range(2))
    assert use_backend(other, name, checkpoint, 1) == name
    for k in range(8):
        if policy.contract.goals and k in (0, 5):
            for controller in (eager, other):
                controller.set_goal(Goal(instruction=policy.instructions.texts[k // 5]))
        seen = Observation(stamp_ns=10**9 + 80_000_000 * k, ages_ns={}, **policy.contract.example(k))
        a, b = other.tick(seen), eager.tick(seen)
        np.testing.assert_allclose(a.positions, b.positions, atol=atol)
        assert (a.epoch, a.seq) == (b.epoch, b.seq)


def test_onnx_runtime_computes_everything_that_a_tick_can_hold(exported):
    assert_same_chunks(exported, 'onnxruntime', RICH, 1e-6)
    manifest = json.loads((artefact_folder(exported, 'onnxruntime') / 'artefact.json').read_text())
    assert 0 <= manifest['measured']['largest_error'] < 1e-5


def test_openvino_computes_the_same(tmp_path, capsys):
    need('openvino')
    plain = tiny_checkpoint(tmp_path / 'plain', replace(CONTRACT, goals=(), vectors=()))
    assert main(['export', '--checkpoint', str(plain), '--backend', 'openvino']) == 0
    assert 'largest error against the eager tick' in capsys.readouterr().out
    assert_same_chunks(plain, 'openvino', ControlConfig(), 1e-6)


def test_openvino_in_bfloat16_rounds_or_says_that_the_processor_cannot(tmp_path):
    need('openvino_bf16')
    import openvino

    plain = tiny_checkpoint(tmp_path / 'plain', replace(CONTRACT, goals=(), vectors=()))
    controller = make_controller(load_checkpoint(plain))
    if 'BF16' not in openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
        with pytest.raises(BackendError, match='does not multiply bfloat16'):
            export(controller, 'openvino_bf16', plain)
        return
    artefact = export(controller, 'openvino_bf16', plain)
    assert 1e-4 < artefact.largest_error < BACKENDS['openvino_bf16'].tolerance
    assert_same_chunks(plain, 'openvino_bf16', ControlConfig(), 0.1)
    assert use_backend(controller, 'auto', plain) == 'eager', 'what rounds is never chosen by itself'


@pytest.mark.slow
@pytest.mark.parametrize('sampler', SAMPLER_NAMES)
def test_onnx_runtime_computes_whole_chunks(tmp_path, sampler):
    need('onnxruntime')
    control = ControlConfig(mode='chunk', evaluations=3, sampler=sampler)
    plain = tiny_checkpoint(tmp_path / 'plain', replace(CONTRACT, goals=(), vectors=()))
    export(make_controller(load_checkpoint(plain), control=control), 'onnxruntime', plain)
    assert_same_chunks(plain, 'onnxruntime', control, 1e-6)


@pytest.mark.slow
def test_torch_compile_computes_the_same(checkpoint):
    assert_same_chunks(checkpoint, 'compile', RICH, 1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
@pytest.mark.parametrize(
    'control', [RICH, replace(RICH, mode='chunk', sampler='heun')], ids=['streaming', 'chunk']
)
def test_cuda_graphs_compute_nearly_the_same(checkpoint, control):
    policy = load_checkpoint(checkpoint, 'cuda')
    controller = make_controller(policy, control=control)
    use_backend(controller, 'cudagraphs', checkpoint)
    graph = controller.graph()
    assert largest_error(controller.runtime, graph, checkpoint) < BACKENDS['cudagraphs'].tolerance
    inputs = graph.example()
    first = controller.runtime.run(inputs)
    kept = [output.clone() for output in first]
    controller.runtime.run(graph.example(1))
    for a, b in zip(first, kept, strict=True):
        assert torch.equal(a, b), 'outputs must be memory that no later run touches'


@torch.no_grad()
def test_products_in_bfloat16_stay_within_the_tolerance_of_cuda_graphs(checkpoint):
    graph = make_controller(load_checkpoint(checkpoint), control=RICH).graph()
    inputs, low = graph.example(), in_bfloat16(graph)
    with torch.autocast('cpu', torch.bfloat16, cache_enabled=False):
        rounded = low.run(inputs)
    for a, b in zip(rounded, graph.reference(inputs), strict=True):
        assert 0 < float((a.float() - b).abs().max()) < BACKENDS['cudagraphs'].tolerance
    assert graph.folded.network.embed.weight.dtype == torch.float32, 'the eager tick keeps its weights'


def test_auto_takes_an_artefact_where_there_is_one_and_eager_elsewhere(exported, tmp_path):
    controller = make_controller(load_checkpoint(exported), control=RICH)
    assert use_backend(controller, 'auto', exported) == 'onnxruntime' and controller.runtime is not None
    bare = tmp_path / 'bare'
    shutil.copytree(exported, bare, ignore=shutil.ignore_patterns('backends'))
    assert use_backend(controller, 'auto', bare) == 'eager' and controller.runtime is None


def test_auto_replaces_nothing_that_does_not_fit(exported):
    controller = make_controller(load_checkpoint(exported))
    with pytest.raises(BackendError, match='foreign artefact'):
        use_backend(controller, 'auto', exported)


def test_a_backend_that_computes_something_else_is_refused(exported, monkeypatch):
    policy = load_checkpoint(exported)
    with torch.no_grad():
        policy.network.head.project.bias += 0.01
    controller = make_controller(policy, control=RICH)
    with pytest.raises(
        BackendError, match=r"'onnxruntime' is off by 0\.\d+ standardised units on the golden sample"
    ):
        use_backend(controller, 'onnxruntime', exported)
    assert controller.runtime is None


def test_what_is_no_number_is_refused(exported):
    graph = make_controller(load_checkpoint(exported), control=RICH).graph()

    class Broken(runtime.Runtime):
        def run(self, inputs):
            return tuple(output * float('nan') for output in graph.run(inputs))

    assert largest_error(Broken(), graph, exported) == float('inf')


def test_a_file_that_the_library_cannot_read_is_refused(exported, tmp_path):
    (tmp_path / 'tick.onnx').write_bytes(b'no graph at all')
    graph = make_controller(load_checkpoint(exported), control=RICH).graph()
    with pytest.raises(BackendError, match='ONNX Runtime refuses the file'):
        BACKENDS['onnxruntime'].start(graph, tmp_path, 1)


def test_an_unknown_backend_lists_the_legal_ones(checkpoint):
    controller = make_controller(load_checkpoint(checkpoint))
    with pytest.raises(BackendError, match=', '.join(BACKEND_NAMES)):
        use_backend(controller, 'tensorrt', checkpoint)
    with pytest.raises(
        BackendError, match=r"'compile' has no artefact to export; legal: onnxruntime, openvino"
    ):
        export(controller, 'compile', checkpoint)


def test_a_backend_of_another_device_is_refused(checkpoint):
    controller = make_controller(load_checkpoint(checkpoint))
    with pytest.raises(
        BackendError, match=r"runs on device 'cuda', and the policy is on 'cpu'; legal there: eager, "
    ):
        use_backend(controller, 'cudagraphs', checkpoint)


@pytest.mark.parametrize('name', [name for name, backend in BACKENDS.items() if backend.modules])
def test_a_missing_library_names_its_extra(checkpoint, monkeypatch, name):
    backend = BACKENDS[name]
    monkeypatch.setattr(type(backend), 'modules', ('a_library_that_nobody_has',))
    controller = make_controller(load_checkpoint(checkpoint))
    for act in (
        lambda: use_backend(controller, name, checkpoint),
        lambda: export(controller, name, checkpoint),
    ):
        with pytest.raises(BackendError, match=rf'not installed: pip install "dp_ros\[{backend.extra}\]"'):
            act()
