# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The tick as an ONNX file: the artefact of some backends, and the way to those of others (doc/how-to/backends.md)."""

import logging
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch

from dp_ros.errors import BackendError
from dp_ros.policy.tick_graph import TickGraph

OPSET = 20


def write_onnx(graph: TickGraph, path: Path) -> None:
    """Export a graph with fixed shapes; inputs and outputs keep their names.

    Raises:
        BackendError: the exporter's libraries are missing, or it cannot express the graph.
    """
    missing = [name for name in ('onnx', 'onnxscript') if find_spec(name) is None]
    if missing:
        raise BackendError(
            f'exporting needs {missing}, which are not installed: pip install "dp_ros[export]"'
        )
    noisy = logging.getLogger('torch.onnx')
    level = noisy.level
    try:
        # It warns about what it does not need (torchvision), and about its own libraries.
        noisy.setLevel(logging.ERROR)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter('ignore')
            program = torch.onnx.export(
                graph,
                tuple(graph.example().values()),
                dynamo=True,
                verbose=False,
                input_names=list(graph.shapes),
                output_names=list(graph.outputs),
                opset_version=OPSET,
            )
        assert program is not None
        program.save(str(path))
    except (RuntimeError, ValueError, TypeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else ''
        raise BackendError(
            f'this tick cannot be exported to ONNX: {type(error).__name__}: {first}; use another backend or sampler'
        ) from error
    finally:
        noisy.setLevel(level)
