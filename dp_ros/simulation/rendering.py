# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Headless OpenGL: choosing a backend before MuJoCo is imported, and cheap pictures of one camera."""

import ctypes
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from dp_ros.errors import TaskError

# Shadows (a 4096 pixel map) and multisampling cost nine tenths of a frame on a software renderer.
_CHEAP_FLAGS = {'shadow': False, 'reflection': False, 'skybox': False}

_EGL_PLATFORM_DEVICE_EXT = 0x313F


def choose_backend() -> str:
    """Set MUJOCO_GL to 'egl', else 'osmesa', unless it is set; call before importing mujoco or dm_control.

    Raises:
        TaskError: neither works; the message names the Debian packages.
    """
    chosen = os.environ.get('MUJOCO_GL')
    if chosen:
        return chosen
    if _egl_works():
        backend = 'egl'
    elif _loads('libOSMesa.so.8') or _loads('libOSMesa.so'):
        backend = 'osmesa'
    else:
        raise TaskError(
            'no headless OpenGL: EGL has no device and OSMesa is not installed. On Debian and Ubuntu: '
            'apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri (EGL), or libosmesa6 (OSMesa); '
            'or set MUJOCO_GL yourself'
        )
    os.environ['MUJOCO_GL'] = backend
    return backend


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _egl_works() -> bool:
    """Whether some EGL device initialises, asked as dm_control will ask, but without importing it."""
    try:
        egl = ctypes.CDLL('libEGL.so.1')
        egl.eglGetProcAddress.restype = ctypes.c_void_p
        query = egl.eglGetProcAddress(b'eglQueryDevicesEXT')
        get = egl.eglGetProcAddress(b'eglGetPlatformDisplayEXT')
    except (OSError, AttributeError):
        return False
    if not query or not get:
        return False
    query_devices = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_int)
    )(query)
    get_display = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(get)
    devices, count = (ctypes.c_void_p * 16)(), ctypes.c_int()
    if not query_devices(16, devices, ctypes.byref(count)):
        return False
    egl.eglInitialize.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    # Displays stay initialised: the renderer asks for the same ones, and terminating them is not thread-safe.
    for device in devices[: count.value]:
        display = get_display(_EGL_PLATFORM_DEVICE_EXT, device, None)
        if display and egl.eglInitialize(display, None, None):
            return True
    return False


class CameraRenderer:
    """Pictures of one fixed camera of a dm_control physics.

    Shadows, reflections, sky box and multisampling are off: what is drawn changes, the physics does not.
    """

    def __init__(self, physics: Any, camera: str, size: tuple[int, int]):
        """Create the GL context (once per physics) for pictures of ``size`` (height, width)."""
        from dm_control.mujoco import engine

        # Read when the context is created, which happens at the first render.
        physics.model.vis.quality.offsamples = 0
        physics.model.vis.quality.shadowsize = 0
        try:
            self._camera = engine.Camera(physics, height=size[0], width=size[1], camera_id=camera)
            self._camera.render(render_flag_overrides=_CHEAP_FLAGS)
        except RuntimeError as error:
            raise TaskError(
                f'cannot render camera {camera!r} with MUJOCO_GL={os.environ.get("MUJOCO_GL")}: {error}'
            ) from error

    def render(self) -> np.ndarray:
        """The picture now, (height, width, 3) uint8 RGB, a copy."""
        return np.array(self._camera.render(render_flag_overrides=_CHEAP_FLAGS))


class SceneRenderer:
    """Pictures of a MuJoCo model by one camera, as cheap as those of :class:`CameraRenderer`.

    Args:
        model: the model; its quality settings are changed, its physics is not.
        size: (height, width) in pixels.
        camera: of a free one 'lookat' in m, 'distance' in m, 'azimuth' and 'elevation' in degrees; of one of the model
            its name.
    """

    def __init__(self, model: Any, size: tuple[int, int], camera: Mapping[str, Any] | str):
        import mujoco

        model.vis.quality.offsamples = 0
        model.vis.quality.shadowsize = 0
        try:
            self._renderer = mujoco.Renderer(model, *size)
        except RuntimeError as error:
            raise TaskError(f'cannot render with MUJOCO_GL={os.environ.get("MUJOCO_GL")}: {error}') from error
        for flag in ('SHADOW', 'REFLECTION', 'SKYBOX'):
            self._renderer.scene.flags[getattr(mujoco.mjtRndFlag, f'mjRND_{flag}')] = 0
        self._camera = camera if isinstance(camera, str) else _free_camera(camera)

    def render(self, data: Any, sites: Mapping[str, np.ndarray]) -> np.ndarray:
        """The picture of a state, (height, width, 3) uint8 RGB, a copy; some sites are drawn elsewhere, not moved."""
        kept = {name: data.site(name).xpos.copy() for name in sites}
        try:
            for name, position in sites.items():
                data.site(name).xpos[:] = position[:3]
            self._renderer.update_scene(data, self._camera)
        finally:
            for name, position in kept.items():
                data.site(name).xpos[:] = position
        return np.array(self._renderer.render())

    def close(self) -> None:
        """Free the GL context."""
        self._renderer.close()


def _free_camera(settings: Mapping[str, Any]) -> Any:
    import mujoco

    camera = mujoco.MjvCamera()
    camera.type = mujoco.mjtCamera.mjCAMERA_FREE
    for name, value in settings.items():
        setattr(camera, name, value)
    return camera
