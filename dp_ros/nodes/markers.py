# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Where the grippers go, as lines for RViz and Foxglove."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from geometry_msgs.msg import Point
from visualization_msgs.msg import Marker, MarkerArray

from dp_ros.action.chunk import ActionChunk
from dp_ros.action.plan import CommittedPlan
from dp_ros.contract import Arm, Embodiment
from dp_ros.contract.binding import Binding
from dp_ros.contract.robot_model import RobotModel
from dp_ros.errors import ContractError
from dp_ros.messages.stamps import fill_time
from dp_ros.nodes import qos

Array = npt.NDArray[np.float64]

# Red, green, blue, opacity.
COLOURS = {
    'measured': (0.20, 0.75, 0.25, 0.9),
    'commanded': (0.15, 0.40, 0.95, 0.9),
    'preview': (1.00, 0.55, 0.05, 0.9),
}
_WIDTH_M = 0.004
# Positions in the trail of what was measured, and times at which what is commanded is drawn.
_TRAIL = 50
_AHEAD_NS = range(0, 1_000_000_001, 50_000_000)


def gripper_paths(
    paths: Mapping[str, Array],
    model: RobotModel | None,
    embodiment: Embodiment,
    stamp_ns: int,
    binding: Binding | None = None,
) -> MarkerArray:
    """One line for each arm and each path.

    The line of an arm that is commanded by joints follows its ``tip_link`` of the binding, else the link that the
    deepest of its joints moves, its gripper's joint aside. It stands in the frame of the root link, or, where a joint
    on the way is not ours, of the highest link below it. An arm that is commanded by poses needs no model.

    Args:
        paths: a key of COLOURS to positions (T, A) in the order of the embodiment's joints.
        model: the robot description; None draws no arm that is commanded by joints.
        embodiment: the arms.
        stamp_ns: ROS time of the markers.
        binding: tip links, and frames of poses.

    Raises:
        ContractError: an unknown path, or a model that does not have an arm's joints or tip link.
    """
    unknown = sorted(set(paths) - set(COLOURS))
    if unknown:
        raise ContractError(f'paths {unknown} have no colour; legal: {list(COLOURS)}')
    out = MarkerArray()
    for arm in embodiment.arms:
        for name, positions in paths.items():
            columns = np.atleast_2d(np.asarray(positions, np.float64))[:, embodiment.slices[arm.name]]
            if arm.acts_in_poses:
                frame, places = _pose_frame(arm, binding), columns[:, :3]
            elif model is not None:
                frame, places = _followed(arm, columns, model, embodiment, binding)
            else:
                continue
            if frame:
                out.markers.append(_line(f'{arm.name}/{name}', COLOURS[name], frame, stamp_ns, places))
    return out


def tip_of(arm: Arm, model: RobotModel, binding: Binding | None) -> str:
    """The link whose path is drawn."""
    named = binding.arms[arm.name].tip_link if binding is not None and arm.name in binding.arms else ''
    return named or model.tip(joint.name for joint in arm.joints)


def _followed(
    arm: Arm, columns: Array, model: RobotModel, embodiment: Embodiment, binding: Binding | None
) -> tuple[str, Array]:
    tip = tip_of(arm, model, binding)
    base = model.base(tip, embodiment.joint_names)
    positions = {name: columns[:, i] for i, name in enumerate(arm.joint_names)}
    places, _ = model.forward_kinematics(tip, positions, base)
    return base, np.broadcast_to(places, (len(columns), 3))


def _pose_frame(arm: Arm, binding: Binding | None) -> str:
    """The frame of an arm's poses; empty where nobody tells."""
    controllers = binding.arms[arm.name].controllers if binding is not None else ()
    return next((c.frame_id for c in controllers if c.output == 'pose'), '')


def _line(name: str, colour: tuple[float, ...], frame: str, stamp_ns: int, places: Array) -> Any:
    marker = Marker(type=Marker.LINE_STRIP, action=Marker.ADD, ns=name, id=0)
    marker.header.frame_id = frame
    fill_time(marker.header.stamp, stamp_ns)
    marker.pose.orientation.w = 1.0
    marker.scale.x = _WIDTH_M
    marker.color.r, marker.color.g, marker.color.b, marker.color.a = colour
    finite = places[np.isfinite(places).all(axis=1)]
    marker.points = [Point(x=float(x), y=float(y), z=float(z)) for x, y, z in finite]
    if len(marker.points) < 2:
        # A line of one point draws a warning instead of a line: take what was there away.
        marker.action, marker.points = Marker.DELETE, []
    return marker


class GripperView:
    """Publishes gripper paths on ``~/gripper_paths``, while somebody looks.

    Args:
        publisher: makes a publisher from message type, topic and profile.
        embodiment, binding: see :func:`gripper_paths`.
        model: the robot description, or None.
    """

    def __init__(
        self,
        publisher: Callable[[Any, str, Any], Any],
        embodiment: Embodiment,
        binding: Binding,
        model: RobotModel | None,
    ):
        self._embodiment, self._binding, self.model = embodiment, binding, model
        self._publisher = publisher(MarkerArray, '~/gripper_paths', qos.VIEW)
        self._trail: deque[tuple[int, Array]] = deque(maxlen=_TRAIL)
        self.trouble = ''

    def chunk(self, chunk: ActionChunk) -> None:
        """Where the policy wants to go."""
        self._show({'preview': chunk.positions}, chunk.stamp_ns)

    def motion(self, now_ns: int, plan: CommittedPlan | None, measured: Array | None) -> None:
        """Where the arms were, and where they are sent; call it a few times a second.

        Args:
            now_ns: ROS time; going back, as a simulation does at a reset, begins a new trail.
            plan: the committed plan, if there is one.
            measured: positions (A,), if they are known.
        """
        if measured is not None:
            if self._trail and self._trail[-1][0] > now_ns:
                self._trail.clear()
            self._trail.append((now_ns, np.array(measured, np.float64)))
        paths = {}
        if self._trail:
            paths['measured'] = np.stack([row for _, row in self._trail])
        if plan is not None:
            paths['commanded'] = np.stack([plan.sample(now_ns + ahead)[0] for ahead in _AHEAD_NS])
        self._show(paths, now_ns)

    def _show(self, paths: dict[str, Array], stamp_ns: int) -> None:
        if not paths or self.trouble or not self._publisher.get_subscription_count():
            return
        try:
            self._publisher.publish(
                gripper_paths(paths, self.model, self._embodiment, stamp_ns, self._binding)
            )
        except ContractError as error:
            # A description that lacks our joints will not get them later, and a picture must not stop the arms.
            self.trouble = str(error)
