# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""ONNX Runtime on the CPU."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dp_ros.errors import BackendError
from dp_ros.policy.backends.backend import Backend, Runtime
from dp_ros.policy.backends.onnx_export import write_onnx
from dp_ros.policy.tick_graph import Inputs, TickGraph

FILE = 'tick.onnx'


class OnnxRuntime(Backend):
    """See the module."""

    name = 'onnxruntime'
    modules = ('onnxruntime',)
    libraries = ('onnx', 'onnxscript', 'onnxruntime')
    extra = 'onnxruntime'
    has_artefact = True
    automatic = True

    def start(self, graph: TickGraph, folder: Path | None, threads: int) -> Runtime:
        assert folder is not None
        return _Session(graph, folder / FILE, threads)

    def export(self, graph: TickGraph, folder: Path, samples: Sequence[Inputs]) -> None:
        write_onnx(graph, folder / FILE)


class _Session(Runtime):
    def __init__(self, graph: TickGraph, path: Path, threads: int):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Within a tick its threads may spin; between two they must not, the nodes beside them need the cores.
        options.add_session_config_entry('session.force_spinning_stop', '1')
        options.add_session_config_entry('session.set_denormal_as_zero', '1')
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path), options, providers=['CPUExecutionProvider']
            )
        # Its exceptions are classes of a compiled module, one for each status, without a common base of its own.
        except Exception as error:
            raise BackendError(f'{path}: ONNX Runtime refuses the file: {error}') from error
        self._inputs, self._outputs = tuple(graph.shapes), list(graph.outputs)

    def run(self, inputs: Inputs) -> tuple[Tensor, ...]:
        outputs = self._session.run(self._outputs, {name: inputs[name].numpy() for name in self._inputs})
        return tuple(map(torch.from_numpy, outputs))
