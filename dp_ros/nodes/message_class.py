# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The classes of messages by the names of their types, for those that are installed."""

import importlib
import re
from typing import Any

from dp_ros.errors import ConfigError

_TYPE = re.compile(r'([a-z][a-z0-9_]*)/msg/([A-Z][A-Za-z0-9]*)')


def message_class(kind: str) -> Any:
    """The class of a type such as 'sensor_msgs/msg/Image'.

    Raises:
        ConfigError: it is no message type, or not installed.
    """
    match = _TYPE.fullmatch(kind)
    if match is None:
        raise ConfigError(f'{kind!r} is no message type; a type looks like sensor_msgs/msg/Image')
    package, name = match.groups()
    try:
        found = getattr(importlib.import_module(f'{package}.msg'), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f'type {kind} is not installed') from error
    # Any package may have a module of that name; only messages say which fields they have.
    if not hasattr(found, 'get_fields_and_field_types'):
        raise ConfigError(f'{kind} is no message type')
    return found
