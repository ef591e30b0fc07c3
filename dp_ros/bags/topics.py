# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Names of topics: relative in a binding, absolute in a bag."""


def absolute(topic: str, namespace: str = '') -> str:
    """The topic as a bag names it: ``joint_states`` in the namespace ``left`` is ``/left/joint_states``.

    A topic that begins with a slash is absolute already.
    """
    if topic.startswith('/'):
        return topic
    outer = namespace.strip('/')
    return f'/{outer}/{topic}' if outer else f'/{topic}'
