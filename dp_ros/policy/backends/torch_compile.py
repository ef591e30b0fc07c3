# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""torch.compile: compiled when it starts, which takes minutes the first time; PyTorch keeps a cache of its own."""

import copy
from pathlib import Path

import torch
from torch import Tensor

from dp_ros.errors import BackendError
from dp_ros.policy.backends.backend import Backend, Runtime
from dp_ros.policy.tick_graph import Inputs, TickGraph


class TorchCompile(Backend):
    """See the module."""

    name = 'compile'

    def start(self, graph: TickGraph, folder: Path | None, threads: int) -> Runtime:
        return _Compiled(graph)


class _Compiled(Runtime):
    def __init__(self, graph: TickGraph):
        self._inputs = tuple(graph.shapes)
        # Freezing packs the weights anew, and must not take them from the eager tick.
        self._call = torch.compile(
            copy.deepcopy(graph), fullgraph=True, dynamic=False, options={'freezing': True}
        )
        try:
            with torch.no_grad():
                self.run(graph.example())
        except torch._dynamo.exc.TorchDynamoException as error:
            raise BackendError(f'torch.compile cannot compile this tick: {error}') from error
        except torch._inductor.exc.InductorError as error:
            raise BackendError(
                f'torch.compile cannot compile this tick, is g++ installed? {error}'
            ) from error

    @torch.no_grad()
    def run(self, inputs: Inputs) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = self._call(*(inputs[name] for name in self._inputs))
        return outputs
