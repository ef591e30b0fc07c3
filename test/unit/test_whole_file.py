# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A file is there whole or not at all, whatever happens while it is written."""

import os
import resource

import pytest

from dp_ros.errors import CheckpointError, StoreError
from dp_ros.whole_file import whole_file


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_it_appears_when_the_block_ends_and_makes_its_folder(tmp_path):
    path = tmp_path / 'a' / 'b.mp4'
    with whole_file(path, 'the film') as beside:
        beside.write_text('new')
        assert beside.parent == path.parent
        assert not path.exists()
    assert path.read_text() == 'new'
    assert names(path.parent) == ['b.mp4']


def test_an_exception_keeps_the_old_file_and_passes_through(tmp_path):
    path = tmp_path / 'file'
    path.write_text('old')
    with pytest.raises(ZeroDivisionError), whole_file(path, 'it') as beside:
        beside.write_text('half')
        raise ZeroDivisionError
    assert path.read_text() == 'old'
    assert names(tmp_path) == ['file']


def test_a_full_disk_keeps_the_old_file_and_names_it(tmp_path):
    path = tmp_path / 'file'
    path.write_text('old')
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Writes beyond this fail half-way, as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with (
            pytest.raises(
                CheckpointError, match='file: cannot write the weights, nothing half written is kept: '
            ),
            whole_file(path, 'the weights', CheckpointError) as beside,
        ):
            beside.write_bytes(bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == 'old'
    assert names(tmp_path) == ['file']


def test_a_writer_that_wrote_nothing_is_an_error(tmp_path):
    with pytest.raises(StoreError, match=os.strerror(2)), whole_file(tmp_path / 'file', 'it'):
        pass
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(StoreError, match=os.strerror(20)), whole_file(tmp_path / 'file' / 'x' / 'y', 'it'):
        pass
