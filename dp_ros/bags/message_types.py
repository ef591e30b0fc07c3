# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Message types from the definitions that a bag holds."""

import re

from rosbags.typesys import (
    Stores,
    TypesysError,
    get_types_from_idl,
    get_types_from_msg,
    get_typestore,
)
from rosbags.typesys.store import Typestore

from dp_ros.bags.storage import Channel
from dp_ros.errors import BagError

# rosbags makes classes of these names, so nothing else may come near it.
NAME = re.compile(r'[A-Za-z]\w*(/[A-Za-z]\w*){1,2}', re.ASCII)
IDL_PART = '=' * 80 + '\n'


class MessageTypes:
    """The types of one bag.

    Args:
        distribution: the ROS distribution that recorded it; its types stand in where the bag holds no definitions,
            as bags older than 2023 do, or where a definition is damaged.
    """

    def __init__(self, distribution: str = '') -> None:
        self._own = get_typestore(Stores.EMPTY)
        self._ready: dict[str, str] = {}
        known = {store.value: store for store in Stores}
        self._fallback = get_typestore(known.get(f'ros2_{distribution}', Stores.LATEST))

    def store(self, channel: Channel) -> Typestore:
        """The type store that reads the messages of a channel.

        Raises:
            BagError: says why they cannot be read.
        """
        name = channel.type
        if channel.serialization != 'cdr':
            raise BagError(f'serialized as {channel.serialization!r}; legal: cdr')
        if not NAME.fullmatch(name):
            raise BagError(f'{name!r} is no name of a message type')
        # A message without fields has an empty definition.
        if not channel.definition and (
            channel.definition_format != 'ros2msg' or name in self._fallback.types
        ):
            if name not in self._fallback.types:
                raise BagError(f'the bag has no definition of type {name}, and it is no standard type')
            return self._fallback
        if self._ready.get(name) != channel.definition:
            try:
                self._register(channel)
            except (TypesysError, ValueError, KeyError, AssertionError, SyntaxError) as error:
                if name in self._fallback.types:
                    return self._fallback
                raise BagError(f'the definition of type {name} cannot be read: {error}') from error
            self._ready[name] = channel.definition
        return self._own

    def _register(self, channel: Channel) -> None:
        text = channel.definition
        if channel.definition_format == 'ros2msg':
            types = get_types_from_msg(text, channel.type)
        else:
            parts = text.split(IDL_PART)[1:] if text.startswith(f'{IDL_PART}IDL: ') else [f'\n{text}']
            types = {}
            for part in parts:
                types.update(get_types_from_idl(part.split('\n', 1)[1]))
        strange = [name for name in types if not NAME.fullmatch(name)]
        if strange:
            raise ValueError(f'{strange} are no names of message types')
        self._own.register(types)
        self._own.get_msgdef(channel.type)
