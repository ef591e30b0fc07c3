# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Depth images as pictures that a camera encoder can see."""

import struct

import cv2
import numpy as np
import numpy.typing as npt

from dp_ros.errors import MessageError

# Encoding: type of a sample, without its byte order, and metres of one unit (REP 118). Some drivers call their
# millimetres mono16.
DEPTHS: dict[str, tuple[str, float]] = {'16UC1': ('u2', 1e-3), 'mono16': ('u2', 1e-3), '32FC1': ('f4', 1.0)}
# What compressed_depth_image_transport puts before its PNG: a format of no meaning, and the two numbers with which it
# stored 32FC1 as inverse depth.
_HEADER = struct.Struct('<iff')


def nearness(
    depth: npt.NDArray[np.generic], unit_m: float, depth_m: tuple[float, float]
) -> npt.NDArray[np.uint8]:
    """Depth (H, W) as three equal channels (H, W, 3) uint8, read-only.

    255 at ``near`` and closer, falling linearly to 1 at ``far`` and farther; 0 where the sensor measured nothing: zero,
    negative, infinite or not a number.

    Args:
        depth: as the sensor gives it.
        unit_m: metres of one unit.
        depth_m: (near, far) in metres.
    """
    near, far = depth_m
    # Scaled in double precision: the same pixel must come from millimetres and from metres.
    metres = depth.astype(np.float64) * unit_m
    with np.errstate(invalid='ignore'):
        shade = np.clip((far - metres) / (far - near), 0.0, 1.0) * 254.0 + 1.0
        known = np.isfinite(metres) & (metres > 0.0)
    grey = np.where(known, np.rint(np.where(known, shade, 0.0)), 0.0).astype(np.uint8)
    return np.broadcast_to(grey[..., None], (*grey.shape, 3))


def decode_compressed_depth(
    form: str, data: npt.NDArray[np.uint8], depth_m: tuple[float, float]
) -> npt.NDArray[np.uint8]:
    """A message of compressed_depth_image_transport, or a 16-bit PNG of millimetres, as :func:`nearness`.

    Args:
        form: of the message, like '16UC1; compressedDepth png' or '16UC1; png compressed'.
        data: of the message.
        depth_m: (near, far) in metres.

    Raises:
        MessageError: another compression than PNG, or damaged.
    """
    encoding = form.split(';')[0].strip()
    if 'rvl' in form.lower():
        raise MessageError(f'depth of format {form!r} is compressed by RVL; legal: png')
    header = _HEADER.size if 'compresseddepth' in form.lower() else 0
    png = data[header:]
    stored = cv2.imdecode(png, cv2.IMREAD_UNCHANGED) if len(png) else None
    if stored is None:
        raise MessageError(f'{len(data)} bytes of format {form!r} do not decode: damaged or cut')
    if stored.dtype != np.uint16 or stored.ndim != 2:
        raise MessageError(
            f'depth of format {form!r} must be a grey PNG of 16 bits, got {stored.dtype} of shape {stored.shape}'
        )
    if encoding != '32FC1' or not header:
        return nearness(stored, 1e-3, depth_m)
    _, scale, offset = _HEADER.unpack(data[:header].tobytes())
    with np.errstate(divide='ignore'):
        metres = np.where(stored > 0, scale / (stored.astype(np.float64) - offset), 0.0)
    return nearness(metres, 1.0, depth_m)
