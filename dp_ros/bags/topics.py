# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Names of topics: relative in a binding, absolute in a bag."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from dp_ros.bags.jpeg import COMPRESSED_SUFFIX, COMPRESSED_TYPE, IMAGE_TYPE
from dp_ros.errors import BagError, MismatchError

if TYPE_CHECKING:
    from dp_ros.bags.reader import Bag


def absolute(topic: str, namespace: str = '') -> str:
    """The topic as a bag names it: ``joint_states`` in the namespace ``left`` is ``/left/joint_states``.

    A topic that begins with a slash is absolute already.
    """
    if topic.startswith('/'):
        return topic
    outer = namespace.strip('/')
    return f'/{outer}/{topic}' if outer else f'/{topic}'


class Place(NamedTuple):
    """Where a bag holds a topic, and of which type; or why it cannot be had from it."""

    topic: str
    type: str
    problem: str = ''


def locate(bag: 'Bag', topic: str, kind: str, namespace: str = '') -> Place:
    """Where a bag holds one topic of a binding, see :func:`located`."""
    name, wanted = absolute(topic, namespace), kind
    info = bag.topics.get(name)
    if info is None and kind == IMAGE_TYPE and name + COMPRESSED_SUFFIX in bag.topics:
        name, wanted = name + COMPRESSED_SUFFIX, COMPRESSED_TYPE
        info = bag.topics[name]
    if info is None:
        others = [t for t, other in bag.topics.items() if other.type == kind]
        problem = f'topic {name} ({kind}) is not in the bag; of that type it has {others}'
    elif info.type != wanted:
        problem = f'topic {name} is {wanted} in the binding, {info.type} in the bag'
    else:
        problem = info.problem and f'topic {name}: {info.problem}'
    return Place(name, wanted, problem)


def located(bag: 'Bag', wanted: Mapping[str, str], namespace: str = '') -> dict[str, str]:
    """Where a bag holds the topics of a binding; a recorder may have compressed images on a topic beside.

    Args:
        bag: an open bag.
        wanted: topics as in the binding, with their types.
        namespace: see :func:`absolute`.

    Returns:
        topic in the bag to topic in the binding.

    Raises:
        BagError: it holds no message.
        MismatchError: lists every topic that is missing, has another type, or cannot be read.
    """
    if not any(info.count for info in bag.topics.values()):
        raise BagError(f'bag {bag.name!r}: no message in it' + ''.join(f'; {p}' for p in bag.problems))
    found, differences = {}, []
    for topic, kind in wanted.items():
        place = locate(bag, topic, kind, namespace)
        if place.problem:
            differences.append(place.problem)
        else:
            found[place.topic] = topic
    if differences:
        # What was lost may be why a topic is missing.
        differences += bag.problems
        raise MismatchError(f'bag {bag.name!r} does not fit the binding:\n  ' + '\n  '.join(differences))
    return found
