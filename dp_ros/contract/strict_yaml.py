# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""YAML without surprises: plain data only, and no key twice."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from dp_ros.errors import ConfigError


def load_strict_yaml(path: Path) -> Any:
    """Read one YAML document.

    Raises:
        ConfigError: if the file cannot be read, is not YAML, or holds a key twice (YAML itself would silently
            keep the last one); the message names file and line.
    """
    try:
        text = Path(path).read_text(encoding='utf-8')
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read: {error.strerror}') from error
    except UnicodeDecodeError as error:
        raise ConfigError(f'{path}: not valid YAML: {error}') from error
    return parse_strict_yaml(text, str(path))


def parse_strict_yaml(text: str, where: str) -> Any:
    """The same of a text; ``where`` is what the message calls it."""
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f'{where}: not valid YAML: {error}') from error
    except ConfigError as error:
        raise ConfigError(f'{where}: {error}') from error


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML carries no types
    """The safe loader, which also refuses a key that stands twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == 'tag:yaml.org,2002:merge':
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise ConfigError(f'line {key_node.start_mark.line + 1}: key {key!r} stands twice')
            if isinstance(key, Hashable):
                seen.add(key)
        return dict(super().construct_mapping(node, deep))
