"""Off-screen OpenGL context from libEGL.

MuJoCo reads ``MUJOCO_GL`` and PyOpenGL ``PYOPENGL_PLATFORM`` at their first import, so whichever
is imported first fixes the platform of the process. libEGL through ctypes depends on neither.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import POINTER, byref, c_char_p, c_int, c_void_p
from typing import Any

from humanoid.core.errors import MissingExtraError

LIBRARY = "libEGL.so.1"
MAX_DEVICES = 16
"""Graphics devices to try; the software renderer is the last."""

_PLATFORM_DEVICE = 0x313F
_OPENGL_API = 0x30A2
_CONFIG = (
    0x3024, 8,  # red
    0x3023, 8,  # green
    0x3022, 8,  # blue
    0x3025, 24,  # depth
    0x3033, 0x0001,  # surfaces: pbuffer
    0x3040, 0x0008,  # renders: desktop OpenGL
    0x3038,  # end of the list
)  # fmt: skip


class EglContext:
    """OpenGL context without window or surface."""

    def __init__(self, library: str = LIBRARY) -> None:
        """Open the first graphics device that offers desktop OpenGL, through ``library``.

        Raises:
            MissingExtraError: no libEGL, or no device offers desktop OpenGL.
        """
        self._egl = _load(library)
        devices, count = (c_void_p * MAX_DEVICES)(), c_int(0)
        query = self._extension(b"eglQueryDevicesEXT", c_int, c_int, POINTER(c_void_p), POINTER(c_int))
        query(MAX_DEVICES, devices, byref(count))
        if not any(self._open(device) for device in devices[: count.value] if device):
            raise _missing("no EGL device offers desktop OpenGL")

    def make_current(self) -> None:
        """Make this the current context of the thread."""
        if not self._egl.eglMakeCurrent(self._display, None, None, self._context):
            raise _missing("the EGL context cannot be made current")

    def close(self) -> None:
        """Destroy the context; the display, which may be shared, stays open."""
        if self._context:
            self._egl.eglMakeCurrent(self._display, None, None, None)
            self._egl.eglDestroyContext(self._display, self._context)
            self._context = None

    def _extension(self, name: bytes, *types: Any) -> Callable[..., Any]:  # noqa: ANN401 - of ctypes
        address = self._egl.eglGetProcAddress(name)
        if not address:
            raise _missing(f"this libEGL has no {name.decode()}")
        return ctypes.CFUNCTYPE(*types)(address)

    def _open(self, device: int) -> bool:
        egl = self._egl
        get_display = self._extension(b"eglGetPlatformDisplayEXT", c_void_p, c_int, c_void_p, c_void_p)
        self._display = get_display(_PLATFORM_DEVICE, device, None)
        if not self._display or not egl.eglInitialize(self._display, None, None):
            return False
        config, count = c_void_p(), c_int(0)
        wanted = (c_int * len(_CONFIG))(*_CONFIG)
        if not egl.eglChooseConfig(self._display, wanted, byref(config), 1, byref(count)) or not count.value:
            return False
        if not egl.eglBindAPI(_OPENGL_API):
            return False
        self._context = egl.eglCreateContext(self._display, config, None, None)
        return bool(self._context) and bool(egl.eglMakeCurrent(self._display, None, None, self._context))


def _load(library: str) -> ctypes.CDLL:
    try:
        # global, so that MuJoCo's loader finds eglGetProcAddress
        egl = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise _missing(f"{library} is not installed") from error
    pointer = c_void_p
    for name, result, arguments in (
        ("eglGetProcAddress", pointer, [c_char_p]),
        ("eglInitialize", c_int, [pointer, pointer, pointer]),
        ("eglChooseConfig", c_int, [pointer, pointer, pointer, c_int, pointer]),
        ("eglBindAPI", c_int, [c_int]),
        ("eglCreateContext", pointer, [pointer, pointer, pointer, pointer]),
        ("eglMakeCurrent", c_int, [pointer, pointer, pointer, pointer]),
        ("eglDestroyContext", c_int, [pointer, pointer]),
    ):
        function = getattr(egl, name)
        function.restype, function.argtypes = result, arguments
    return egl


def _missing(what: str) -> MissingExtraError:
    return MissingExtraError(
        f"cannot draw off screen: {what}; install it with `apt-get install libegl1 libgl1-mesa-dri`"
    )
