# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""OpenVINO on the CPU, by way of an ONNX file: its own converter of torch modules crashes on these graphs."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from dp_ros.errors import BackendError
from dp_ros.policy.backends.backend import Backend, Runtime
from dp_ros.policy.backends.onnx_export import write_onnx
from dp_ros.policy.tick_graph import Inputs, TickGraph

FILE = 'tick.xml'


class OpenVino(Backend):
    """In float32."""

    name = 'openvino'
    # Where the processor has bfloat16 the library's default would use it.
    precision: ClassVar[str] = 'f32'
    modules = ('openvino',)
    libraries = ('onnx', 'onnxscript', 'openvino')
    extra = 'openvino'
    has_artefact = True
    automatic = True

    def start(self, graph: TickGraph, folder: Path | None, threads: int) -> Runtime:
        assert folder is not None
        return _Request(graph, folder / FILE, threads, self.precision)

    def export(self, graph: TickGraph, folder: Path, samples: Sequence[Inputs]) -> None:
        import openvino

        with TemporaryDirectory() as scratch:
            path = Path(scratch) / 'tick.onnx'
            write_onnx(graph, path)
            model = openvino.Core().read_model(path)
            openvino.save_model(model, folder / FILE, compress_to_fp16=False)


class OpenVinoBf16(OpenVino):
    """Products and what lies between them in bfloat16: half the time where the processor multiplies it, and rounded."""

    name = 'openvino_bf16'
    precision = 'bf16'
    tolerance = 0.1
    automatic = False

    def start(self, graph: TickGraph, folder: Path | None, threads: int) -> Runtime:
        import openvino

        if 'BF16' not in openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
            raise BackendError(
                f'backend {self.name!r}: this processor does not multiply bfloat16; use openvino'
            )
        return super().start(graph, folder, threads)


class _Request(Runtime):
    def __init__(self, graph: TickGraph, path: Path, threads: int, precision: str):
        import openvino

        settings: dict[str, Any] = {
            'PERFORMANCE_HINT': 'LATENCY',
            'INFERENCE_PRECISION_HINT': precision,
        }
        if threads:
            settings['INFERENCE_NUM_THREADS'] = threads
        try:
            core = openvino.Core()
            self._request: Any = core.compile_model(
                core.read_model(path), 'CPU', settings
            ).create_infer_request()
        except RuntimeError as error:
            raise BackendError(f'{path}: OpenVINO refuses the file: {error}') from error
        self._inputs, self._outputs = tuple(graph.shapes), tuple(graph.outputs)

    def run(self, inputs: Inputs) -> tuple[Tensor, ...]:
        results = self._request.infer(
            {name: inputs[name].numpy() for name in self._inputs}, share_inputs=True, share_outputs=True
        )
        # The request's own memory is written again by the next run.
        return tuple(torch.from_numpy(np.array(results[name])) for name in self._outputs)
