# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The package's descriptions agree with each other and with the code."""

import ast
import re
import runpy
import sys
import xml.etree.ElementTree as ElementTree

import pytest
import setuptools
from source_tree import PACKAGE, ROOT, is_ros, python_files, third_party, tree

import dp_ros

# Import name to the distribution that setup.py asks for, where the two differ.
DISTRIBUTIONS = {
    'cv2': 'opencv-python-headless',
    'yaml': 'pyyaml',
    'gym_aloha': 'gym-aloha',
    'gym_pusht': 'gym-pusht',
}
# Comes with another requirement: what it is used for makes sense only there.
BRINGS = {
    'backports': 'rosbags',
    'compression': 'rosbags',
    'dm_control': 'gym-aloha',
    'imageio_ffmpeg': 'imageio-ffmpeg',
}


@pytest.fixture(scope='module')
def described():
    """The keywords with which setup.py calls setup()."""
    kept = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(setuptools, 'setup', kept.update)
        runpy.run_path(str(ROOT / 'setup.py'))
    return kept


@pytest.fixture(scope='module')
def manifest():
    """The root element of package.xml."""
    return ElementTree.parse(ROOT / 'package.xml').getroot()


def requirement_names(requirements):
    return {re.match(r'[A-Za-z0-9._-]+', requirement).group(0).lower() for requirement in requirements}


def test_versions_are_equal(described, manifest):
    assert manifest.find('version').text == described['version'] == dp_ros.__version__


def test_the_changelog_follows_rep_132(described):
    text = (ROOT / 'CHANGELOG.rst').read_text()
    assert re.match(r'\^+\nChangelog for package dp_ros\n\^+\n\n', text)
    headings = re.findall(r'^(.+)\n-+$', text, re.MULTILINE)
    released = [h for h in headings if h != 'Forthcoming']
    assert headings
    assert 'Forthcoming' not in headings[1:], 'what is to come stands on top'
    assert all(re.fullmatch(r'\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)', h) for h in released)
    if released:
        assert released[0].startswith(described['version'] + ' ')


def test_licence_and_names_agree(described, manifest):
    assert manifest.get('format') == '3'
    assert manifest.find('name').text == described['name']
    assert manifest.find('license').text == described['license'] == 'Apache-2.0'
    assert 'Version 2.0, January 2004' in (ROOT / manifest.find('license').get('file')).read_text()
    assert manifest.find('maintainer').get('email') == described['maintainer_email']
    assert manifest.find('export/build_type').text == 'ament_python'


def test_every_executable_exists(described):
    scripts = described['entry_points']['console_scripts']
    assert {s.split(' = ')[0] for s in scripts} == {
        'dp_ros',
        'policy_node',
        'action_node',
        'sim_node',
        'record_node',
        'play_node',
        'replay_evaluator',
    }
    for script in scripts:
        name, target = script.split(' = ')
        module, function = target.split(':')
        path = ROOT / (module.replace('.', '/') + '.py')
        assert path.is_file(), f'{name}: {path} does not exist'
        functions = {node.name for node in tree(path).body if isinstance(node, ast.FunctionDef)}
        assert function in functions, f'{name}: {path} defines no {function}()'


def test_every_shared_file_is_installed(described):
    listed = {file for _, files in described['data_files'] for file in files}
    wanted = {
        str(path.relative_to(ROOT))
        for folder in ('launch', 'config', 'checkpoints')
        for path in (ROOT / folder).rglob('*')
        if path.is_file() and '__pycache__' not in path.parts and not path.name.startswith('.')
    }
    assert wanted <= listed
    for folder, files in described['data_files']:
        for file in files:
            assert (ROOT / file).is_file()
            if file in wanted:
                assert f'{folder}/{file.rsplit("/", 1)[1]}' == f'share/dp_ros/{file}', 'folders are kept'


def test_the_manifest_names_the_ros_packages_that_are_imported(manifest):
    used = {name for path in python_files('dp_ros', 'launch') for name in third_party(path) if is_ros(name)}
    named = {e.text for e in manifest.findall('exec_depend') if is_ros(e.text)}
    assert named == used


def test_every_import_is_a_requirement(described):
    extras = described['extras_require']
    required = requirement_names(described['install_requires'])
    optional = requirement_names([*extras['sim'], *extras['metaworld'], *extras['pusht'], *extras['train']])
    backends = requirement_names([*extras['onnxruntime'], *extras['openvino']])
    for path in python_files('dp_ros'):
        room = path.relative_to(PACKAGE).parts[0]
        for name in third_party(path):
            if is_ros(name) or name in sys.stdlib_module_names:
                continue
            distribution = BRINGS.get(name) or DISTRIBUTIONS.get(name, name)
            allowed = required | optional if room in ('simulation', 'training', 'evaluation') else required
            if path.parent.name == 'backends':
                allowed = required | backends
            assert distribution in allowed, f'{path}: setup.py does not ask for {distribution}'


def test_constraints_pin_every_requirement(described):
    lines = (ROOT / 'constraints.txt').read_text().splitlines()
    pins = [line for line in lines if not line.startswith('#')]
    assert all(
        re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+(; python_version [<>=]= '3\.\d+')?", pin) for pin in pins
    )
    extras = described['extras_require']
    wanted = [
        requirement
        for name in (
            'sim',
            'metaworld',
            'pusht',
            'train',
            'export',
            'onnxruntime',
            'openvino',
            'ros-jazzy',
            'dev',
        )
        for requirement in extras[name]
    ]
    assert requirement_names([*described['install_requires'], *wanted]) <= {
        pin.split('==')[0] for pin in pins
    }
