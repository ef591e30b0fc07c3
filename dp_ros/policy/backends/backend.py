# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The small interface behind which a tick runs."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from dp_ros.policy.tick_graph import Inputs, TickGraph


class Runtime(ABC):
    """A graph that is ready to run."""

    @abstractmethod
    def run(self, inputs: Inputs) -> tuple[Tensor, ...]:
        """The graph's outputs in their order, in float32, in memory that no later run touches.

        Args:
            inputs: by name, of the graph's shapes, contiguous, on the policy's device; not changed.
        """


class Backend(ABC):
    """One way to compute a tick.

    Attributes:
        name: by which it is chosen.
        device: type of torch device that the policy must be on.
        modules: that must be importable.
        libraries: distributions whose versions an artefact records.
        extra: of setup.py, that installs them.
        tolerance: largest difference to the eager tick on the golden sample, in standardised units.
        has_artefact: whether :meth:`export` has to come first.
        automatic: whether 'auto' may choose it: where nothing is approximate, and nothing takes minutes to start.
    """

    name: ClassVar[str]
    device: ClassVar[str] = 'cpu'
    modules: ClassVar[tuple[str, ...]] = ()
    libraries: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ''
    tolerance: ClassVar[float] = 1e-4
    has_artefact: ClassVar[bool] = False
    automatic: ClassVar[bool] = False

    def missing(self) -> str | None:
        """A module that is not installed, or None."""
        return next((name for name in self.modules if find_spec(name) is None), None)

    @abstractmethod
    def start(self, graph: TickGraph, folder: Path | None, threads: int) -> Runtime:
        """Make it ready to run.

        Args:
            graph: what to compute.
            folder: with the artefact, for a backend that has one.
            threads: of the CPU; 0 leaves them to the library.

        Raises:
            BackendError: the library refuses.
        """

    def export(self, graph: TickGraph, folder: Path, samples: Sequence[Inputs]) -> None:
        """Write the artefact's files into ``folder``; ``samples`` are real inputs.

        Raises:
            BackendError: the library refuses, or one that only exporting needs is missing.
        """
        raise NotImplementedError(f'{self.name} has no artefact')
