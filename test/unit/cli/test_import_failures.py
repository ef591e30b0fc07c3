# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros import`` that goes wrong: the other bags go on, and the store is byte for byte what it was."""

import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from bag_maker import Plan, cut, example_binding_data, example_contract, make_bag

from dp_ros.cli.main import main
from dp_ros.data.episode_store import EpisodeStore


@pytest.fixture
def site(tmp_path):
    """Two bags, a contract and a binding."""
    for seed in range(2):
        make_bag(tmp_path / f'bag{seed}', Plan(seed=seed, duration_s=0.8))
    (tmp_path / 'contract.json').write_text(example_contract().to_json())
    (tmp_path / 'binding.yaml').write_text(yaml.safe_dump(example_binding_data()))
    return tmp_path


def command(site, *bags, store=None, options=()):
    args = ['--contract', site / 'contract.json', '--binding', site / 'binding.yaml']
    return ['import', *map(str, [*bags, *args, '--out', store or site / 'store', *options])]


def run(site, *bags, **more):
    return main(command(site, *bags, **more))


def tree(path):
    """Every file and folder, with the hash of what is in it."""
    return {
        str(entry.relative_to(path)): hashlib.sha256(entry.read_bytes()).hexdigest()
        if entry.is_file()
        else ''
        for entry in sorted(path.rglob('*'))
    }


def sources(site):
    with EpisodeStore.open(site / 'store') as store:
        return [(source['name'], source['sha256']) for source in store.sources]


def test_bad_bags_cost_themselves_only(site, capsys):
    (site / 'nothing').mkdir()
    (site / 'text').write_text('no bag')
    make_bag(site / 'unfit', Plan(duration_s=0.4, joint_topic='/other'))
    make_bag(site / 'empty', Plan(duration_s=0.0))
    bad = [site / name for name in ('nothing', 'text', 'unfit', 'empty', 'missing')]
    assert run(site, *bad[:3], site / 'bag0', *bad[3:], site / 'bag1', options=['--processes', 2]) == 1
    error = capsys.readouterr().err
    assert all(f'skipped: {path}: ' in error for path in bad)
    assert [name for name, _ in sources(site)] == ['bag0', 'bag1']
    before = tree(site / 'store')
    assert run(site, *bad) == 2
    assert tree(site / 'store') == before


def test_nothing_imported_leaves_no_store(site, capsys):
    (site / 'empty').mkdir()
    assert run(site, site / 'empty') == 2
    assert not (site / 'store').exists()
    # A robot that does not fit is said once, and before anything is read.
    (site / 'binding.yaml').write_text(yaml.safe_dump(example_binding_data(joints=('a', 'b'))))
    assert run(site, site / 'bag0', site / 'bag1') == 2
    error = capsys.readouterr().err
    assert error.count("joint 'left_j1': needed by the checkpoint, not on the robot") == 1
    assert not (site / 'store').exists()


def test_what_lay_in_the_directory_stays(site):
    (site / 'store').mkdir()
    (site / 'store' / 'notes.txt').write_text('mine')
    assert run(site, site / 'missing') == 2
    assert list(tree(site / 'store')) == ['notes.txt']


def test_an_empty_store_takes_any_contract(site):
    """As an import that was killed leaves one."""
    EpisodeStore.create(site / 'store', example_contract(pred_horizon=16), {}).close()
    assert run(site, site / 'bag0') == 0
    assert EpisodeStore.open(site / 'store').contract.hash == example_contract().hash


def test_one_content_under_two_names_is_imported_once(site, capsys):
    shutil.copytree(site / 'bag0', site / 'copy')
    assert run(site, site / 'bag0', site / 'copy') == 1
    assert f"copy: bag 'copy' has the content of {site}/bag0" in capsys.readouterr().err
    before = tree(site / 'store')
    assert run(site, site / 'copy') == 2
    assert "bag 'copy' is in the store already, as 'bag0' (sha256 " in capsys.readouterr().err
    assert tree(site / 'store') == before
    assert run(site, site / 'copy', site / 'bag1') == 1
    assert run(site, site / 'copy', site / 'bag0', options=['--replace']) == 1
    assert [name for name, _ in sources(site)] == ['bag1', 'copy']


def test_two_bags_of_one_name_are_told_apart(site):
    for seed in range(2):
        (site / f'day{seed}').mkdir()
        shutil.move(site / f'bag{seed}', site / f'day{seed}' / 'bag')
    report = site / 'report.json'
    assert run(site, site / 'day0' / 'bag', site / 'day1' / 'bag', options=['--report', report]) == 0
    (one, first), (other, second) = sources(site)
    assert one == other == 'bag' and first != second
    bags = json.loads(report.read_text())['bags']
    assert [(bag['name'], bag['sha256']) for bag in bags] == [('bag', first), ('bag', second)]
    assert len({bag['path'] for bag in bags}) == 2


@pytest.mark.parametrize('version', [1, 3])
def test_a_store_of_another_time_stays(site, version, capsys):
    assert run(site, site / 'bag0') == 0
    file = site / 'store' / 'store.json'
    file.write_text(json.dumps({**json.loads(file.read_text()), 'dp_store': version}))
    before = tree(site / 'store')
    assert run(site, site / 'bag1') == 2
    assert ('version 1 is read' if version == 1 else 'dp_store is 3') in capsys.readouterr().err
    assert tree(site / 'store') == before


def test_a_file_that_may_not_grow(site, capsys):
    """The scratch file of the frames does not fit; what was imported before stays, what comes after is read."""
    assert run(site, site / 'bag0') == 0
    before = tree(site / 'store')
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    try:
        assert run(site, site / 'bag1') == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert 'File too large' in capsys.readouterr().err
    assert tree(site / 'store') == before
    assert run(site, site / 'bag1') == 0


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 400 KiB: room for one bag and a little."""
    path = tmp_path / 'disk'
    path.mkdir()
    mounted = subprocess.run(
        ['mount', '-t', 'tmpfs', '-o', 'size=400k', 'tmpfs', str(path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip('mounting a small file system needs root')
    yield path
    subprocess.run(['umount', str(path)], check=True)


def test_no_space_left(site, small_disk, capsys):
    make_bag(site / 'long', Plan(duration_s=12.0))
    assert run(site, site / 'bag0', site / 'long', site / 'bag1', store=small_disk / 's') == 1
    error = capsys.readouterr().err
    assert re.search(rf'skipped: {site}/long: .*No space left on device', error)
    with EpisodeStore.open(small_disk / 's') as store:
        assert [source['name'] for source in store.sources] == ['bag0', 'bag1']
        assert len(list(store)) == 2
    before = tree(small_disk / 's')
    assert run(site, site / 'long', store=small_disk / 's') == 2
    assert tree(small_disk / 's') == before


def test_a_bag_that_may_not_be_read(site):
    """Root reads everything, unless it gives that up."""
    setpriv = shutil.which('setpriv')
    if setpriv is None and os.geteuid() == 0:
        pytest.skip('setpriv is needed to take the rights of root away')
    first = [setpriv, '--bounding-set=-all', '--inh-caps=-all'] if setpriv and os.geteuid() == 0 else []
    file = next(f for f in (site / 'bag0').iterdir() if f.suffix == '.mcap')
    file.chmod(0)
    done = subprocess.run(
        [*first, sys.executable, '-m', 'dp_ros.cli.main', *command(site, site / 'bag0', site / 'bag1')],
        capture_output=True, text=True, env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert f'skipped: {site}/bag0: {file}: cannot be read: Permission denied' in done.stderr
    assert [name for name, _ in sources(site)] == ['bag1']


def environment():
    return {**os.environ, 'PYTHONPATH': str(Path(__file__).parents[3])}


def begun(site):
    """An import of a long bag, caught in the middle; a process, and those that it started."""
    make_bag(site / 'long', Plan(duration_s=40.0))
    process = subprocess.Popen(
        [sys.executable, '-m', 'dp_ros.cli.main', *command(site, site / 'long')],
        stderr=subprocess.DEVNULL, env=environment(), start_new_session=True,
    )  # fmt: skip
    until(lambda: any((site / 'store').glob('staging/bag-*')), process)
    children = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()
    assert children
    return process, [Path('/proc', child) for child in children]


def until(holds, process=None):
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end and (process is None or process.poll() is None)
        time.sleep(0.002)


def test_an_import_that_is_killed(site):
    assert run(site, site / 'bag0') == 0
    before = tree(site / 'store')
    process, children = begun(site)
    process.kill()
    process.wait()
    kept = {name: content for name, content in tree(site / 'store').items() if not name.startswith('staging')}
    assert kept == before
    # Nobody goes on writing.
    until(lambda: not any(child.exists() for child in children))
    assert run(site, site / 'bag1') == 0
    assert [name for name, _ in sources(site)] == ['bag0', 'bag1']
    assert not (site / 'store' / 'staging').exists()


def test_an_import_that_is_interrupted(site):
    assert run(site, site / 'bag0') == 0
    before = tree(site / 'store')
    process, children = begun(site)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) == 130
    assert tree(site / 'store') == before
    until(lambda: not any(child.exists() for child in children))


def test_a_bag_that_was_cut_off_says_how_far(site, capsys):
    cut(site / 'bag0', 0.7)
    assert run(site, site / 'bag0') == 1
    assert 'recovered' in capsys.readouterr().err
    assert [name for name, _ in sources(site)] == ['bag0']
