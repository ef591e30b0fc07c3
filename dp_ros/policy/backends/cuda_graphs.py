# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""CUDA graphs: the whole tick captured once, one replay a tick. Products in bfloat16, schedules and sums in float32."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from dp_ros.errors import BackendError
from dp_ros.policy.backends.backend import Backend, Runtime
from dp_ros.policy.tick_graph import Inputs, TickGraph

_WARM_UP = 3
Outputs = TypeVar('Outputs')


class CudaGraphs(Backend):
    """See the module."""

    name = 'cudagraphs'
    device = 'cuda'
    tolerance = 0.1
    automatic = True

    def start(self, graph: TickGraph, folder: Path | None, threads: int) -> Runtime:
        if not torch.cuda.is_available():
            raise BackendError(
                f'backend {self.name!r} needs a CUDA device, and this machine has no usable one'
            )
        return _Replay(graph)


def in_bfloat16(graph: TickGraph) -> TickGraph:
    """A copy whose products read their weights as bfloat16; autocast casts what they are applied to.

    Weights of norms, positions, noise levels and everything else that is added or scaled stay in float32.
    """
    graph = copy.deepcopy(graph)
    for module in graph.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            module.to(torch.bfloat16)
        for name in (
            'query_key_value',
            'modulation_weight',
            'context_weight',
            'up_HD',
            'up_bias_H',
            'down_DG',
        ):
            if (weight := module._buffers.get(name)) is not None:
                module.register_buffer(name, weight.to(torch.bfloat16), persistent=False)
    return graph


def capture(tick: Callable[[], Outputs]) -> tuple[torch.cuda.CUDAGraph, Outputs]:
    """The graph of a function on fixed memory, and the memory where each replay leaves its outputs.

    A capture records on a stream of its own, after a few runs there (PyTorch's notes on CUDA graphs).
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            tick()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = tick()
    return graph, outputs


class _Replay(Runtime):
    """Fixed memory for inputs and outputs; what is there is copied in, replayed, and copied out on the device."""

    def __init__(self, graph: TickGraph):
        device = graph.policy.device
        low = in_bfloat16(graph)
        self._inputs = graph.example()

        def tick() -> tuple[Tensor, ...]:
            # Without its cache, which would keep casts of a pass that is not replayed.
            with torch.autocast('cuda', torch.bfloat16, cache_enabled=False):
                return tuple(output.float() for output in low.run(self._inputs))

        try:
            with torch.no_grad(), torch.cuda.device(device):
                self._graph, self._outputs = capture(tick)
        except RuntimeError as error:
            raise BackendError(f'this tick cannot be captured as a CUDA graph: {error}') from error

    @torch.no_grad()
    def run(self, inputs: Inputs) -> tuple[Tensor, ...]:
        for name, place in self._inputs.items():
            place.copy_(inputs[name], non_blocking=True)
        self._graph.replay()
        return tuple(output.clone() for output in self._outputs)
