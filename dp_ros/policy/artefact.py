# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a backend made of a checkpoint: a folder beside it that says what of, and is refused as anything else.

backends/NAME/artefact.json    backend, hashes of the checkpoint's files, settings of the tick, versions, the error
backends/NAME/...              the backend's own files, whose SHA-256 are in artefact.json
"""

import hashlib
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dp_ros.errors import BackendError
from dp_ros.policy.policy import Policy
from dp_ros.policy.tick_graph import TickGraph
from dp_ros.whole_file import whole_folder

MANIFEST = 'artefact.json'
# The files that decide what a tick computes beside the network's sizes; normalisers are applied outside of the graph.
_SOURCES = ('model.safetensors', 'contract.json')


SETTINGS = ('mode', 'evaluations', 'restart_sigma', 'guidance', 'sampler', 'schedule')
"""Of the control, what ``dp_ros export`` takes in place of the checkpoint's own."""


@dataclass(frozen=True)
class Artefact:
    """A folder that was checked, and what its manifest says."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def largest_error(self) -> float:
        """Against the eager tick on the golden sample, standardised units, when it was exported."""
        return float(self.manifest['measured']['largest_error'])


def artefact_folder(checkpoint: Path, backend: str) -> Path:
    """Where a backend looks."""
    return checkpoint / 'backends' / backend


def write_artefact(
    folder: Path,
    backend: str,
    policy: Policy,
    graph: TickGraph,
    libraries: Sequence[str],
    fill: Callable[[Path], Mapping[str, float]],
) -> Artefact:
    """Make a folder beside its place and rename it in; on any error an older one stays and nothing else does.

    Args:
        folder: its place.
        backend, policy, graph: what it is of.
        libraries: distributions whose versions are recorded.
        fill: writes the files into the folder that it is given, and returns what was measured.

    Raises:
        BackendError: it cannot be written; errors of ``fill`` pass through.
    """
    with whole_folder(folder, 'the artefact', BackendError) as beside:
        measured = dict(fill(beside))
        manifest = {
            **_identity(backend, policy, graph),
            'files': {
                path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(beside.iterdir())
            },
            'versions': {name: version(name) for name in ('torch', *libraries)},
            'machine': platform.machine(),
            'measured': measured,
        }
        (beside / MANIFEST).write_text(json.dumps(manifest, indent=2) + '\n')
    return Artefact(folder, manifest)


def read_artefact(folder: Path, backend: str, policy: Policy, graph: TickGraph) -> Artefact:
    """Check an artefact's files against its manifest, and its manifest against the policy and the tick's settings.

    Raises:
        BackendError: it is missing, damaged, stale (other weights) or foreign (another backend or other settings).
    """
    remedy = f'make it: dp_ros export --checkpoint {folder.parent.parent} --backend {backend}{_options(policy, graph)}'
    if not folder.is_dir():
        raise BackendError(f'{folder}: backend {backend!r} has no artefact here; {remedy}')
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        got = {key: manifest[key] for key in ('backend', 'sources', 'tick')}
        files = {Path(name).name: str(digest) for name, digest in dict(manifest['files']).items()}
        float(manifest['measured']['largest_error'])
        wrong = [
            name
            for name, digest in files.items()
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackendError(
            f'{folder}: a damaged artefact ({type(error).__name__}: {error}); {remedy}'
        ) from error
    if wrong:
        raise BackendError(f'{folder}: a damaged artefact: SHA-256 differs for {wrong}; {remedy}')
    wanted = _identity(backend, policy, graph)
    if got['sources'] != wanted['sources']:
        raise BackendError(f'{folder}: a stale artefact: it was made of another checkpoint; {remedy}')
    differences = [
        f'{key}: {old!r} in the artefact, {new!r} asked for'
        for key, old, new in (
            ('backend', got['backend'], backend),
            *((k, dict(got['tick']).get(k), v) for k, v in wanted['tick'].items()),
        )
        if old != new
    ]
    if differences:
        raise BackendError(f'{folder}: a foreign artefact: {"; ".join(differences)}; {remedy}')
    return Artefact(folder, manifest)


def _identity(backend: str, policy: Policy, graph: TickGraph) -> dict[str, Any]:
    # Of the configuration only this: another control or provenance leaves the tick what it is.
    built = json.dumps([asdict(policy.config.network), asdict(policy.config.diffusion)], sort_keys=True)
    return {
        'backend': backend,
        'sources': {
            **{name: policy.digests.get(name, '') for name in _SOURCES},
            'network': hashlib.sha256(built.encode()).hexdigest(),
        },
        'tick': graph.key,
    }


def _options(policy: Policy, graph: TickGraph) -> str:
    """What the command needs so that it exports this tick, where that is not the checkpoint's own."""
    own = asdict(policy.config.control)
    wanted = {name: graph.key[name] for name in SETTINGS if name in graph.key}
    return ''.join(
        f' --{name.replace("_", "-")} {value}' for name, value in wanted.items() if value != own[name]
    )
