# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A robot description (URDF): limits by joint name, the kinematic tree, and where a link is.

Meshes, inertias and transmissions are not read, so a description needs none of the files that it points to.
"""

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from typing import Any

import numpy as np

from dp_ros.contract.robot_model import JointModel, Mimic, RobotModel
from dp_ros.errors import ContractError

JOINT_TYPES = ('revolute', 'continuous', 'prismatic', 'fixed', 'floating', 'planar')
_TURNING_OR_SLIDING = ('revolute', 'continuous', 'prismatic')


def parse_urdf(text: str, where: str = 'robot_description') -> RobotModel:
    """Read a URDF.

    Args:
        text: the XML, with every xacro macro expanded.
        where: what error messages call it.

    Raises:
        ContractError: names the joint or link, and what would be legal.
    """
    # A description is data from the network: no document types, so no entities that grow or read files.
    if '<!DOCTYPE' in text or '<!ENTITY' in text:
        raise ContractError(f'{where}: a document type or an entity has no place in a URDF')
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise ContractError(f'{where}: not valid XML: {error}') from error
    if root.tag != 'robot':
        raise ContractError(f'{where}: the outermost element must be <robot>, got <{root.tag}>')
    if any('/xacro' in str(element.tag) for element in root.iter()):
        raise ContractError(f'{where}: holds xacro macros; expand them first (xacro robot.urdf.xacro)')
    links = [_name(link, f'{where}: a link') for link in root.findall('link')]
    joints = [_joint(joint, where) for joint in root.findall('joint')]
    for what, names in (('link', links), ('joint', [joint.name for joint in joints])):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ContractError(f'{where}: {what} names must be unique, these stand twice: {twice}')
    return RobotModel(
        name=root.get('name', ''),
        links=tuple(links),
        joints={joint.name: joint for joint in joints},
        root=_root(links, joints, where),
    )


def _root(links: list[str], joints: list[JointModel], where: str) -> str:
    """The one link that no joint moves; every other one must hang on it."""
    parents: dict[str, str] = {}
    for joint in joints:
        for end, link in (('parent', joint.parent), ('child', joint.child)):
            if link not in links:
                raise ContractError(f'{where}: joint {joint.name!r}: its {end} {link!r} is no link; {links}')
        if joint.child in parents:
            raise ContractError(f'{where}: link {joint.child!r} hangs on two joints; a URDF is a tree')
        parents[joint.child] = joint.parent
        if joint.mimic is not None and joint.mimic.joint not in {other.name for other in joints}:
            raise ContractError(
                f'{where}: joint {joint.name!r} mimics {joint.mimic.joint!r}, which is no joint'
            )
    roots = [link for link in links if link not in parents]
    if len(roots) != 1:
        raise ContractError(f'{where}: exactly one link must hang on no joint, these do: {roots}')
    for link in links:
        at, steps = link, 0
        while at in parents and steps <= len(links):
            at, steps = parents[at], steps + 1
        if at != roots[0]:
            raise ContractError(f'{where}: link {link!r} does not hang on the root {roots[0]!r}: a loop')
    return roots[0]


def _joint(element: Any, where: str) -> JointModel:
    name = _name(element, f'{where}: a joint')
    where = f'{where}: joint {name!r}'
    kind = element.get('type')
    if kind not in JOINT_TYPES:
        raise ContractError(f'{where}: type must be one of {list(JOINT_TYPES)}, got {kind!r}')
    lower, upper, velocity, effort = _limits(element, kind, where)
    origin = element.find('origin')
    origin = {} if origin is None else origin.attrib
    return JointModel(
        name=name,
        type=kind,
        parent=_end(element, 'parent', where),
        child=_end(element, 'child', where),
        offset=_vector(origin.get('xyz', '0 0 0'), f'{where}: origin xyz'),
        rotation=_rpy(_vector(origin.get('rpy', '0 0 0'), f'{where}: origin rpy')),
        axis=_axis(element, kind, where),
        lower=lower,
        upper=upper,
        velocity=velocity,
        effort=effort,
        mimic=_mimic(element, name, where),
    )


def _limits(element: Any, kind: str, where: str) -> tuple[float, float, float | None, float | None]:
    """Position bounds with the soft limits of a safety controller, velocity and effort."""
    limit, safety = element.find('limit'), element.find('safety_controller')
    bounded = kind in ('revolute', 'prismatic')
    if limit is None:
        if bounded:
            raise ContractError(f'{where}: a {kind} joint needs a <limit>')
        return -math.inf, math.inf, None, None
    lower, upper = -math.inf, math.inf
    if bounded:
        lower = _number(limit.attrib, 'lower', where, 0.0)
        upper = _number(limit.attrib, 'upper', where, 0.0)
        if safety is not None:
            lower = max(lower, _number(safety.attrib, 'soft_lower_limit', where, lower))
            upper = min(upper, _number(safety.attrib, 'soft_upper_limit', where, upper))
        if lower > upper:
            raise ContractError(f'{where}: lower limit {lower} is above upper limit {upper}')
    rates = []
    for key in ('velocity', 'effort'):
        value = _number(limit.attrib, key, where, 0.0)
        if value < 0:
            raise ContractError(f'{where}: limit {key} must not be negative, got {value}')
        # Exporters write 0 where they do not know: no joint is made that cannot move.
        rates.append(value or None)
    return lower, upper, rates[0], rates[1]


def _axis(element: Any, kind: str, where: str) -> np.ndarray:
    axis = element.find('axis')
    vector = _vector('1 0 0' if axis is None else axis.get('xyz', '1 0 0'), f'{where}: axis xyz')
    length = float(np.linalg.norm(vector))
    if kind not in _TURNING_OR_SLIDING:
        return np.array([1.0, 0.0, 0.0])
    if length < 1e-6:
        raise ContractError(f'{where}: axis must not be the zero vector')
    return np.asarray(vector / length)


def _mimic(element: Any, name: str, where: str) -> Mimic | None:
    mimic = element.find('mimic')
    if mimic is None:
        return None
    if mimic.get('joint', name) == name:
        raise ContractError(f'{where}: mimic must name another joint')
    return Mimic(
        joint=mimic.get('joint'),
        multiplier=_number(mimic.attrib, 'multiplier', where, 1.0),
        offset=_number(mimic.attrib, 'offset', where, 0.0),
    )


def _name(element: Any, what: str) -> str:
    name = element.get('name')
    if not name:
        raise ContractError(f'{what} has no name')
    return str(name)


def _end(element: Any, end: str, where: str) -> str:
    found = element.find(end)
    if found is None or not found.get('link'):
        raise ContractError(f'{where}: <{end} link="..."/> is missing')
    return str(found.get('link'))


def _number(attributes: Mapping[str, str], key: str, where: str, default: float) -> float:
    text = attributes.get(key)
    try:
        value = default if text is None else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ContractError(f'{where}: {key} must be a finite number, got {text!r}')
    return value


def _vector(text: str, where: str) -> np.ndarray:
    try:
        vector = np.array([float(part) for part in text.split()])
    except ValueError:
        vector = np.zeros(0)
    if vector.shape != (3,) or not np.all(np.isfinite(vector)):
        raise ContractError(f'{where}: expected three finite numbers, got {text!r}')
    return vector


def _rpy(angles: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) about fixed x, then y, then z, as URDF defines roll, pitch and yaw."""
    (sr, sp, sy), (cr, cp, cy) = np.sin(angles), np.cos(angles)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )
