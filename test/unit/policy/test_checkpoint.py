# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Checkpoints: round trip, integrity, self-test."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dp_ros.contract import Contract
from dp_ros.errors import CheckpointError, ContractError
from dp_ros.observation.observation import Observation
from dp_ros.policy.checkpoint import FILES, load_checkpoint
from dp_ros.policy.streaming import StreamingPolicy
from dp_ros.policy.testing import tiny_checkpoint, tiny_policy

CONTRACT = Contract.from_json(Path(__file__).parents[3] / 'config' / 'contracts' / 'aloha_transfer_cube.json')


@pytest.fixture
def checkpoint(tmp_path):
    return tiny_checkpoint(tmp_path / 'tiny', CONTRACT)


def edit(checkpoint, name, change, sign=True):
    """Change a file, and by default sign the change in the manifest, as somebody who means it would."""
    change(checkpoint / name)
    if sign:
        manifest = json.loads((checkpoint / 'manifest.json').read_text())
        manifest[name] = hashlib.sha256((checkpoint / name).read_bytes()).hexdigest()
        (checkpoint / 'manifest.json').write_text(json.dumps(manifest))


def edit_tensors(change):
    def edit_file(path):
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path)

    return edit_file


def test_round_trip_computes_the_same(checkpoint):
    policy = load_checkpoint(checkpoint)
    seen = Observation(stamp_ns=1, ages_ns={}, **CONTRACT.example(3))
    got = StreamingPolicy(policy, seed=1).tick(seen).positions
    wanted = StreamingPolicy(tiny_policy(CONTRACT), seed=1).tick(seen).positions
    assert policy.contract == CONTRACT
    np.testing.assert_allclose(got, wanted, atol=2e-3)  # weights are stored as float16
    assert np.array_equal(StreamingPolicy(load_checkpoint(checkpoint), seed=1).tick(seen).positions, got)


@pytest.mark.parametrize('name', [*FILES, 'manifest.json', 'README.md'])
def test_a_missing_file_is_named(checkpoint, name):
    (checkpoint / name).unlink()
    with pytest.raises(CheckpointError, match=f'lacks .*{name}'):
        load_checkpoint(checkpoint)


@pytest.mark.parametrize('name', FILES)
def test_a_damaged_file_is_named(checkpoint, name):
    def flip(path):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))

    edit(checkpoint, name, flip, sign=False)
    with pytest.raises(CheckpointError, match=f'SHA-256 differs .*{name}'):
        load_checkpoint(checkpoint)


def test_no_directory_and_no_device(checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match='no such checkpoint directory'):
        load_checkpoint(tmp_path / 'absent')
    with pytest.raises(CheckpointError, match='not a torch device'):
        load_checkpoint(checkpoint, device='gpu7')
    if not torch.cuda.is_available():
        with pytest.raises(CheckpointError, match='no usable CUDA'):
            load_checkpoint(checkpoint, device='cuda')


def test_weights_load_strictly_and_all_problems_are_listed(checkpoint):
    def break_weights(tensors):
        tensors['embed.wieght'] = tensors.pop('embed.weight')
        tensors['head.project.bias'] = tensors['head.project.bias'][:-1].clone()
        tensors['embed.bias'][0] = float('nan')

    edit(checkpoint, 'model.safetensors', edit_tensors(break_weights))
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(checkpoint)
    for part in (
        'missing embed.weight',
        'unknown embed.wieght',
        'head.project.bias: expected',
        'embed.bias: not finite',
    ):
        assert part in str(error.value)


def test_golden_sample_catches_a_policy_that_computes_something_else(checkpoint):
    def swap_joints(tensors):
        tensors['proprio.mean'] = tensors['proprio.mean'] + 0.05 * torch.arange(14)

    edit(checkpoint, 'normalizer.safetensors', edit_tensors(swap_joints))
    with pytest.raises(CheckpointError, match='golden sample is off by'):
        load_checkpoint(checkpoint)


def test_foreign_content_is_refused(checkpoint):
    edit(checkpoint, 'model.safetensors', lambda p: p.write_bytes(b'\x80\x04pickle'))
    with pytest.raises(CheckpointError, match='not a safetensors file'):
        load_checkpoint(checkpoint)
    shutil.rmtree(checkpoint)
    tiny_checkpoint(checkpoint, CONTRACT)
    edit(checkpoint, 'contract.json', lambda p: p.write_text(p.read_text().replace('"timing"', '"timings"')))
    with pytest.raises(ContractError, match=r'missing keys \[.timing.\], unknown keys \[.timings.\]'):
        load_checkpoint(checkpoint)


def test_writing_replaces_whole_or_not_at_all(checkpoint, tmp_path):
    before = {p.name: p.read_bytes() for p in checkpoint.iterdir()}
    tiny_checkpoint(checkpoint, CONTRACT, seed=1)
    assert (checkpoint / 'model.safetensors').read_bytes() != before['model.safetensors']
    load_checkpoint(checkpoint)
    (tmp_path / 'file').write_text('')
    with pytest.raises(CheckpointError, match='cannot write'):
        tiny_checkpoint(tmp_path / 'file' / 'inside', CONTRACT)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['file', 'tiny']
