# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""House rules on the text of the source: licence headers, sizes, and constructs that are never used."""

import ast
from collections import Counter

import pytest
from source_tree import ROOT, imports, python_files, tree

HEADER = '# Copyright 2026 The dp_ros authors\n# SPDX-License-Identifier: Apache-2.0\n'
MAX_LINES = 400
FORBIDDEN_MODULES = {'pickle', 'cPickle', 'dill', 'cloudpickle', 'marshal', 'shelve', 'joblib'}
FORBIDDEN_NAMES = {'utils.py', 'util.py', 'common.py', 'helpers.py', 'misc.py'}

FILES = [pytest.param(path, id=str(path.relative_to(ROOT))) for path in python_files()]


@pytest.mark.parametrize('path', FILES)
def test_every_file_has_the_licence_header_and_a_docstring(path):
    text = path.read_text()
    text = text.split('\n', 1)[1] if text.startswith('#!') else text
    assert text.startswith(HEADER)
    empty_marker = path.name == '__init__.py' and text == HEADER
    assert empty_marker or ast.get_docstring(tree(path)), 'the module needs a docstring'


@pytest.mark.parametrize('path', FILES)
def test_files_stay_short_and_have_a_name_that_says_something(path):
    assert len(path.read_text().splitlines()) <= MAX_LINES
    assert path.name not in FORBIDDEN_NAMES


def safe_loaders(path):
    """Names of SafeLoader, and of the classes of a file that derive from it."""
    classes = [node for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef)]
    return {'yaml.SafeLoader'} | {c.name for c in classes if 'yaml.SafeLoader' in map(ast.unparse, c.bases)}


@pytest.mark.parametrize('path', FILES)
def test_nothing_runs_code_that_came_as_data(path):
    assert not {name.split('.')[0] for name in imports(path)} & FORBIDDEN_MODULES
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.Call):
            continue
        where, called = f'{path.name}:{node.lineno}', ast.unparse(node.func)
        keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
        assert called not in ('eval', 'exec', 'os.system', 'yaml.unsafe_load'), where
        if called == 'torch.load':
            # A benchmark may read published weights, by the loader that knows tensors and nothing else.
            assert ROOT / 'bench' in path.parents and keywords.get('weights_only') == 'True', where
        if called == 'yaml.load':
            loader = keywords.get('Loader') or ast.unparse(node.args[1])
            assert loader in safe_loaders(path), f'{where}: {loader} is not a yaml.SafeLoader'
        assert keywords.get('allow_pickle') != 'True', where
        assert keywords.get('shell') != 'True', where
        if called.endswith('load_state_dict'):
            assert keywords.get('strict') != 'False', f'{where}: weights load strictly'


def test_test_files_have_unique_names():
    # pytest imports them as top-level modules, so that two of one name would hide each other.
    names = Counter(path.name for path in python_files('test') if path.name != 'conftest.py')
    assert [name for name, count in names.items() if count > 1] == []
