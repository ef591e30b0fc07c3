# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What can compute a tick's graph, fastest first on each device. Optional libraries are imported when one starts."""

from dp_ros.policy.backends.backend import Backend, Runtime
from dp_ros.policy.backends.cuda_graphs import CudaGraphs
from dp_ros.policy.backends.onnx_runtime import OnnxRuntime
from dp_ros.policy.backends.open_vino import OpenVino, OpenVinoBf16
from dp_ros.policy.backends.torch_compile import TorchCompile

BACKENDS: dict[str, Backend] = {
    backend.name: backend
    for backend in (CudaGraphs(), OnnxRuntime(), OpenVino(), OpenVinoBf16(), TorchCompile())
}
# Those whose graph has to be exported before they can start.
EXPORTED = tuple(name for name, backend in BACKENDS.items() if backend.has_artefact)

__all__ = ['BACKENDS', 'EXPORTED', 'Backend', 'Runtime']
