# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Artefacts appear whole or not at all, and are refused as anything else than what they were made of."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dp_ros.contract import Contract
from dp_ros.errors import BackendError
from dp_ros.policy.artefact import MANIFEST, artefact_folder, read_artefact, write_artefact
from dp_ros.policy.checkpoint import load_checkpoint
from dp_ros.policy.config import ControlConfig
from dp_ros.policy.modes import make_controller
from dp_ros.policy.testing import tiny_checkpoint

CONTRACT = Contract.from_json(Path(__file__).parents[3] / 'config' / 'contracts' / 'aloha_transfer_cube.json')


def fill(folder):
    (folder / 'tick.bin').write_bytes(b'a graph')
    return {'largest_error': 1e-6, 'tolerance': 1e-4}


@pytest.fixture(name='made')
def fixture_made(tmp_path):
    """Checkpoint, graph, artefact."""
    checkpoint = tiny_checkpoint(tmp_path / 'checkpoint', CONTRACT)
    graph = make_controller(load_checkpoint(checkpoint)).graph()
    folder = artefact_folder(checkpoint, 'toy')
    return checkpoint, graph, write_artefact(folder, 'toy', graph.policy, graph, ('numpy',), fill)


def test_what_was_written_is_read(made):
    checkpoint, graph, artefact = made
    read = read_artefact(artefact.folder, 'toy', graph.policy, graph)
    assert read.manifest == artefact.manifest and read.largest_error == 1e-6
    assert set(read.manifest['versions']) == {'torch', 'numpy'}
    load_checkpoint(checkpoint)  # which does not mind the folder


def test_none_there(made):
    checkpoint, graph, _ = made
    with pytest.raises(
        BackendError, match=r'has no artefact here; make it: dp_ros export --checkpoint .*/checkpoint '
    ):
        read_artefact(artefact_folder(checkpoint, 'other'), 'other', graph.policy, graph)


def test_of_other_weights_it_is_stale(made, tmp_path):
    _, _, artefact = made
    other = make_controller(load_checkpoint(tiny_checkpoint(tmp_path / 'other', CONTRACT, seed=1))).graph()
    with pytest.raises(BackendError, match='stale artefact'):
        read_artefact(artefact.folder, 'toy', other.policy, other)


@pytest.mark.parametrize(
    ('control', 'difference', 'options'),
    [
        (ControlConfig(evaluations=2), 'evaluations: 1 in the artefact, 2 asked for', '--evaluations 2'),
        (
            ControlConfig(mode='chunk', evaluations=4),
            'evaluations: 1 in the artefact, 4 asked for',
            '--mode chunk --evaluations 4',
        ),
        (
            ControlConfig(mode='truncated', restart_sigma=0.5),
            'restart_sigma: None in the artefact, 0.5 asked for',
            '--mode truncated --restart-sigma 0.5',
        ),
    ],
    ids=['evaluations', 'chunk', 'truncated'],
)
def test_of_other_settings_it_is_foreign_and_says_how_to_make_it(made, control, difference, options):
    _, graph, artefact = made
    other = make_controller(graph.policy, control=control).graph()
    with pytest.raises(BackendError) as refused:
        read_artefact(artefact.folder, 'toy', graph.policy, other)
    assert 'a foreign artefact: ' in str(refused.value) and difference in str(refused.value)
    assert str(refused.value).endswith(f'--backend toy {options}')


def test_what_only_shapes_the_start_of_an_epoch_does_not_matter(made):
    _, graph, artefact = made
    other = make_controller(graph.policy, control=ControlConfig(buffer_start='denoise')).graph()
    read_artefact(artefact.folder, 'toy', graph.policy, other)


def test_of_another_backend_it_is_foreign(made):
    _, graph, artefact = made
    with pytest.raises(
        BackendError, match="foreign artefact: backend: 'toy' in the artefact, 'else' asked for"
    ):
        read_artefact(artefact.folder, 'else', graph.policy, graph)


@pytest.mark.parametrize('damage', ['byte', 'file', 'manifest', 'key', 'type'])
def test_damaged(made, damage):
    _, graph, artefact = made
    file, manifest = artefact.folder / 'tick.bin', artefact.folder / MANIFEST
    data = json.loads(manifest.read_text())
    if damage == 'byte':
        file.write_bytes(b'a grapf')
    elif damage == 'file':
        file.unlink()
    elif damage == 'manifest':
        manifest.write_text(manifest.read_text()[:-20])
    elif damage == 'key':
        manifest.write_text(json.dumps({k: v for k, v in data.items() if k != 'tick'}))
    else:
        manifest.write_text(json.dumps(data | {'files': 3}))
    with pytest.raises(BackendError, match='damaged artefact'):
        read_artefact(artefact.folder, 'toy', graph.policy, graph)


@pytest.mark.parametrize('error', [BackendError('off by 3'), OSError('no space left')])
def test_a_failure_leaves_the_old_one_and_nothing_else(made, error):
    _, graph, artefact = made

    def fail(folder):
        (folder / 'tick.bin').write_bytes(b'half a gra')
        raise error

    with pytest.raises(BackendError, match=str(error)):
        write_artefact(artefact.folder, 'toy', graph.policy, graph, (), fail)
    read_artefact(artefact.folder, 'toy', graph.policy, graph)
    assert [path.name for path in artefact.folder.parent.iterdir()] == ['toy']


def test_a_policy_that_was_never_saved_has_no_artefacts(made):
    _, graph, artefact = made
    with pytest.raises(BackendError, match='stale artefact'):
        read_artefact(artefact.folder, 'toy', replace(graph.policy, digests={}), graph)
