# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Choosing what computes the tick, and making sure that it computes the right thing before it moves anything.

A backend takes the place of a controller's eager tick (:func:`use_backend`) once it has met the eager one on the
checkpoint's golden sample. One that is missing, stale or wrong is an error, and never quietly replaced by another.
"""

import logging
from pathlib import Path

import torch
from torch import Tensor

from dp_ros.errors import BackendError
from dp_ros.policy.artefact import Artefact, artefact_folder, read_artefact, write_artefact
from dp_ros.policy.backends import BACKENDS, EXPORTED, Backend, Runtime
from dp_ros.policy.checkpoint import golden_goals, golden_past, read_golden
from dp_ros.policy.controller import Controller
from dp_ros.policy.policy import Policy
from dp_ros.policy.tick_graph import ChunkGraph, StreamGraph, TickGraph

EAGER, AUTO = 'eager', 'auto'
BACKEND_NAMES = (EAGER, AUTO, *BACKENDS)
_TICKS = 4
_log = logging.getLogger(__name__)


def use_backend(controller: Controller, name: str, checkpoint: Path, threads: int = 0) -> str:
    """Let a backend compute the controller's ticks from now on.

    Args:
        controller: of the policy that ``checkpoint`` holds.
        name: one of BACKEND_NAMES; 'auto' takes the fastest that this device, the installed libraries and the
            artefacts beside the checkpoint allow, or 'eager' where there is none.
        checkpoint: directory with the golden sample and the artefacts.
        threads: of the CPU; 0 leaves them to the library.

    Returns:
        The name of the backend in use.

    Raises:
        BackendError: there is no such backend, it cannot run here, its artefact is missing, damaged, stale or of
            something else, or its outputs are not those of the eager tick.
    """
    if name not in BACKEND_NAMES:
        raise BackendError(f'unknown backend {name!r}; legal: {", ".join(BACKEND_NAMES)}')
    if threads:
        torch.set_num_threads(threads)
    policy = controller.policy
    if name == AUTO:
        name = _best(policy, checkpoint)
        _log.info('backend auto: %s', name)
    if name == EAGER:
        controller.runtime = None
        return name
    backend = _runnable(name, policy)
    graph = controller.graph()
    artefact = _artefact(backend, graph, checkpoint) if backend.has_artefact else None
    runtime = backend.start(graph, artefact.folder if artefact else None, threads)
    _require_equal(runtime, backend, graph, checkpoint)
    controller.runtime = runtime
    return name


def export(controller: Controller, name: str, checkpoint: Path, out: Path | None = None) -> Artefact:
    """Write a backend's artefact of the controller's tick, whole or not at all, with its error stored in it.

    Args:
        controller: of the policy that ``checkpoint`` holds.
        name: a backend that has artefacts.
        checkpoint: directory with the golden sample.
        out: the folder to make or to replace; by default the place beside the checkpoint where the backend looks.

    Raises:
        BackendError: no such backend, it has no artefact, a library is missing, or the result is not within tolerance.
    """
    if name not in EXPORTED:
        raise BackendError(f'backend {name!r} has no artefact to export; legal: {", ".join(EXPORTED)}')
    backend, policy = _runnable(name, controller.policy), controller.policy
    graph = controller.graph()

    def fill(folder: Path) -> dict[str, float]:
        backend.export(graph, folder, golden_inputs(graph, checkpoint))
        error = _require_equal(backend.start(graph, folder, 1), backend, graph, checkpoint)
        return {'largest_error': error, 'tolerance': backend.tolerance}

    return write_artefact(
        out or artefact_folder(checkpoint, name), name, policy, graph, backend.libraries, fill
    )


def golden_inputs(graph: TickGraph, checkpoint: Path) -> list[dict[str, Tensor]]:
    """Inputs of the golden sample, one for each kind of goal (or one without), on the policy's device."""
    golden, policy = read_golden(checkpoint), graph.policy
    base = policy.inputs(
        golden['proprio'].numpy(),
        {c.name: golden[f'images.{c.name}'].numpy() for c in policy.contract.cameras},
        {name: golden[f'vectors.{name}'].numpy() for name in policy.vectors},
        golden_past(policy, golden),
    )
    noise_TP = golden['noise'][0]
    if isinstance(graph, StreamGraph):
        sigma_T1 = graph.resting_sigma_T1.cpu()
        held_TP = policy.hold_tokens(golden['proprio'].numpy())[0].cpu()
        base |= {
            'x': held_TP + sigma_T1 * noise_TP,
            'fresh': policy.levels.sigma_max * noise_TP[: graph.pop],
        }
    else:
        assert isinstance(graph, ChunkGraph)
        base['start'] = graph.sigmas[0] * noise_TP
    samples = [base]
    if 'goal' in graph.shapes:
        goal_KD = golden_goals(policy, golden)
        assert goal_KD is not None and policy.network.goals is not None
        null_1D = policy.network.goals.null_tokens(1)
        rows = [torch.cat([goal_D[None], null_1D])[: graph.rows] for goal_D in goal_KD]
        samples = [{**base, 'goal': goal_RD} for goal_RD in rows]
    return [{name: value.to(policy.device) for name, value in sample.items()} for sample in samples]


@torch.inference_mode()
def largest_error(runtime: Runtime, graph: TickGraph, checkpoint: Path) -> float:
    """Largest difference to the eager tick, standardised units, over a few ticks of each golden input.

    In streaming each runs on its own buffer, so that what adds up over ticks counts.
    """
    worst = 0.0
    for sample in golden_inputs(graph, checkpoint):
        ours, theirs = dict(sample), dict(sample)
        for _ in range(_TICKS if isinstance(graph, StreamGraph) else 1):
            got, wanted = runtime.run(ours), graph.reference(theirs)
            for a, b in zip(got, wanted, strict=True):
                difference = float((a.float() - b).abs().max())
                # A comparison with NaN is false: what is not a number is as wrong as can be.
                worst = max(worst, difference) if difference == difference else float('inf')
            if isinstance(graph, StreamGraph):
                ours['x'], theirs['x'] = got[1], wanted[1]
    return worst


def _require_equal(runtime: Runtime, backend: Backend, graph: TickGraph, checkpoint: Path) -> float:
    error = largest_error(runtime, graph, checkpoint)
    if error > backend.tolerance:
        raise BackendError(
            f'backend {backend.name!r} is off by {error:.3g} standardised units on the golden sample of {checkpoint} '
            f'(tolerance {backend.tolerance:g}): it computes something else than the eager tick, and is not used'
        )
    return error


def _runnable(name: str, policy: Policy) -> Backend:
    backend = BACKENDS[name]
    if policy.device.type != backend.device:
        raise BackendError(
            f'backend {name!r} runs on device {backend.device!r}, and the policy is on {str(policy.device)!r}; '
            f'legal there: {", ".join([EAGER, *_on(policy)])}'
        )
    if (missing := backend.missing()) is not None:
        raise BackendError(
            f'backend {name!r} needs {missing!r}, which is not installed: pip install "dp_ros[{backend.extra}]"'
        )
    return backend


def _on(policy: Policy) -> list[str]:
    return [name for name, backend in BACKENDS.items() if backend.device == policy.device.type]


def _best(policy: Policy, checkpoint: Path) -> str:
    for name in _on(policy):
        backend = BACKENDS[name]
        ready = not backend.has_artefact or artefact_folder(checkpoint, name).is_dir()
        if backend.automatic and ready and backend.missing() is None:
            return name
    return EAGER


def _artefact(backend: Backend, graph: TickGraph, checkpoint: Path) -> Artefact:
    folder = artefact_folder(checkpoint, backend.name)
    return read_artefact(folder, backend.name, graph.policy, graph)
