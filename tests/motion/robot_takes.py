"""A made-up take of a robot: it walks along a curve while every joint swings on its own."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

from humanoid.bodies import Embodiment

FRAMES = 61


def table(body: Embodiment) -> np.ndarray:
    """Return rows (T, 7 + D): root position [m], quaternion wxyz, joint angles [rad], 30 Hz."""
    time = np.arange(FRAMES) / 30.0
    low, high = body.joint_range.T
    middle, swing = (low + high) / 2, np.minimum((high - low) / 2, 0.5) * 0.9
    rates = np.linspace(0.5, 1.5, body.num_joints)
    joints = middle + swing * np.sin(2 * np.pi * np.outer(time, rates) + np.arange(body.num_joints))
    yaw, lean = 0.4 * np.sin(time), 0.1 * np.cos(2 * time)
    spin, tilt = (np.stack((np.cos(angle / 2), np.sin(angle / 2))) for angle in (yaw, lean))
    quat = np.stack((spin[0] * tilt[0], -spin[1] * tilt[1], spin[0] * tilt[1], spin[1] * tilt[0]), -1)
    root = np.stack((0.9 * time, 0.1 * np.sin(time), 0.78 + 0.02 * np.sin(3 * time)), -1)
    return np.hstack((root, quat, joints))


def joblib_bytes(tree: object, shapes: dict[str, tuple[int, ...]] | None = None) -> bytes:
    """Return a tree of dicts as joblib writes it: arrays stand between the opcodes.

    Args:
        tree: dicts, arrays and plain values.
        shapes: key -> shape that the file shall claim instead.
    """
    shapes = shapes or {}

    def text(value: str) -> bytes:
        return b"\x8c" + bytes([len(value.encode())]) + value.encode()

    def write(value: object, out: bytearray, key: str = "") -> None:
        if isinstance(value, dict):
            out += b"}("
            for name, item in value.items():
                out += text(str(name))
                write(item, out, str(name))
            out += b"u"
        elif isinstance(value, np.ndarray):
            array: np.ndarray[Any, Any] = np.ascontiguousarray(value)
            out += text("joblib.numpy_pickle") + text("NumpyArrayWrapper") + b"\x93)\x81"
            state = {"shape": shapes.get(key, array.shape), "order": "C", "dtype": array.dtype}
            state |= {"allow_mmap": True, "numpy_array_alignment_bytes": 16}
            out += pickle.dumps(state, 2)[2:-1] + b"b"
            padding = 16 - (len(out) + 1) % 16
            out += bytes([padding]) + b"\xff" * padding + array.tobytes()
        else:
            out += pickle.dumps(value, 2)[2:-1]

    out = bytearray(b"\x80\x04")
    write(tree, out)
    return bytes(out + b".")
