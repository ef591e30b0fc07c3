# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a data report says of one episode."""

import base64
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dp_ros.bags.time_statistics import TimeStatistics
from dp_ros.contract import Contract
from dp_ros.data.episode import Episode
from dp_ros.data.tracking import stillness, tracking

Floats = npt.NDArray[np.float64]
Bounds = Mapping[str, tuple[float, float]]

# As near to a limit as this share of the range is at the limit.
AT_LIMIT = 0.002
PICTURE_WIDTH, JPEG_QUALITY = 160, 80
# Times the median time between two observations: more is a gap.
LONG_GAP = 2.5


def episode_facts(episode: Episode, contract: Contract, bounds: Bounds, pictures: bool) -> dict[str, Any]:
    """Figures of an episode, as JSON can say them.

    Args:
        episode: satisfies the contract.
        contract: names and units.
        bounds: lowest and highest position, rad or m, of the joints whose limits are known.
        pictures: with a thumbnail of the first, the middle and the last observation, as each camera's field shows it.

    Returns:
        ``gaps`` between observations; ``still``: when nothing moves; ``joints``: statistics of the measured and of the
        commanded position with the shares outside of and at the limits, lag in ms and tracking error; ``vectors``:
        statistics of each number; ``cameras``: distinct frames, contrast (the standard deviation of the brightest of
        three pictures, 0 to 127), ``pictures`` with the second and the JPEG in base64.
    """
    units = [joint.unit for joint in contract.embodiment.joints]
    measured = episode.proprio[:, -1]
    still = stillness(episode.stamps_ns, measured, units)
    follows = tracking(
        episode.stamps_ns, measured, episode.command_stamps_ns, np.asarray(episode.commands), units
    )
    joints = []
    for j, joint in enumerate(contract.embodiment.joints):
        limits = bounds.get(joint.name)
        joints.append(
            {
                'name': joint.name,
                'unit': joint.unit,
                'limits': None if limits is None or not np.isfinite(limits).all() else list(limits),
                'measured': statistics(measured[:, j], limits),
                'commanded': statistics(episode.commands[:, j], limits),
                'lag_ms': _number(follows.lag_s[j] * 1e3, 1),
                'rms': _number(follows.rms[j]),
                'rms_at_lag': _number(follows.rms_at_lag[j]),
            }
        )
    return {
        'gaps': _gaps(episode),
        'still': {name: round(value, 4) for name, value in vars(still).items()},
        'joints': joints,
        'vectors': {
            name: [statistics(column, None) for column in values[:, -1].T]
            for name, values in episode.vectors.items()
        },
        'cameras': {name: _camera(episode, name, pictures) for name in episode.images},
    }


def statistics(values: npt.NDArray[np.floating[Any]], limits: tuple[float, float] | None) -> dict[str, Any]:
    """Of (n,) values: count, mean, std, min and max, and the shares outside of and at the limits."""
    values = np.asarray(values, np.float64)
    out: dict[str, Any] = {
        'count': len(values),
        **{name: _number(f(values)) for name, f in (('mean', np.mean), ('std', np.std))},
        **{name: _number(f(values)) for name, f in (('min', np.min), ('max', np.max))},
    }
    if limits is not None:
        low, high = limits
        near = AT_LIMIT * (high - low) if np.isfinite(high - low) else 0.0
        # Commands are stored as float32.
        far = 1e-6 * max([1.0, *(abs(v) for v in limits if np.isfinite(v))])
        outside = (values < low - far) | (values > high + far)
        at = ~outside & ((values <= low + near) | (values >= high - near))
        out |= {'outside': _number(outside.mean()), 'at_limit': _number(at.mean())}
    return out


def _gaps(episode: Episode) -> dict[str, float | int]:
    times = TimeStatistics()
    times.add(episode.stamps_ns)
    steps = np.diff(episode.stamps_ns)
    long = int((steps > LONG_GAP * np.median(steps)).sum()) if len(steps) else 0
    at_ns = times.largest_at_ns - int(episode.stamps_ns[0]) if times.gaps else 0
    return {
        'p99_ms': round(times.gap_ns(0.99) / 1e6, 2),
        'largest_ms': round(times.largest_ns / 1e6, 2),
        'largest_at_s': round(at_ns / 1e9, 3),
        'long': long,
    }


def _camera(episode: Episode, name: str, pictures: bool) -> dict[str, Any]:
    frames, shown = episode.images[name], episode.image_index[name][:, -1]
    places = sorted({0, len(shown) // 2, len(shown) - 1})
    chosen = [np.asarray(frames[shown[i]]) for i in places]
    out: dict[str, Any] = {
        'frames': len(np.unique(episode.image_index[name])),
        'contrast': round(max(float(picture.std()) for picture in chosen), 2),
    }
    if pictures:
        start = int(episode.stamps_ns[0])
        seconds = [round((int(episode.stamps_ns[i]) - start) / 1e9, 3) for i in places]
        out['pictures'] = [[at, _jpeg(picture)] for at, picture in zip(seconds, chosen, strict=True)]
    return out


def _jpeg(rgb: npt.NDArray[np.uint8]) -> str:
    if rgb.shape[1] > PICTURE_WIDTH:
        size = (PICTURE_WIDTH, max(1, round(rgb.shape[0] * PICTURE_WIDTH / rgb.shape[1])))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return base64.b64encode(data.tobytes()).decode()


def _number(value: float, digits: int = 6) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None
