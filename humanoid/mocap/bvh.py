"""Biovision hierarchies (.bvh): any order of channels, any unit, any axis up.

A joint's rotation is the product of its rotation channels in the order of the file
(intrinsic turns, the first outermost). Position channels replace the offset, as Blender
and most readers have it; the skeleton of a :class:`Clip` is rigid, so those of joints
below the root become a constant offset, and a root above which nothing moves by itself
(``Reference`` over ``Hips``) is folded into the joint that moves.

The format names neither unit nor axes. The unit is the one of metre, centimetre,
millimetre, inch and the inch over 0.45 of CMU's conversions that makes the skeleton
nearest to 1.70 m tall; a skeleton that none of them makes 1.0 to 2.4 m tall is scaled to
1.70 m, which :attr:`Clip.source` then notes. The axis up is y or z; see :func:`_up`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from humanoid.core.errors import InputError
from humanoid.core.io import LoadCfg, read_bytes
from humanoid.mocap.bvh_file import CHANNELS, MOTION, Joint, Table, read_hierarchy, read_motion
from humanoid.mocap.checks import checked, to_z_up
from humanoid.mocap.skeleton import Clip
from humanoid.mocap.topology import Tree
from humanoid.spatial import rotation as rot

UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254, "CMU inch": 0.0254 / 0.45}
"""[m] of the units that are inferred; the last is that of conversions of CMU's files."""
STATURE = 1.70
"""[m] that a skeleton is compared with."""
BELIEVED = (1.0, 2.4)
"""[m] Statures that make a unit possible."""
MOVING = 0.01
"""Part of the skeleton's span by which a joint may move in its parent as if it did not."""
SOFT = 0.1
"""The same for joints of soft skeletons, which are held at the middle of their way."""
_SAMPLES = 32

Axis = Literal["x", "y", "z"]


def matches(path: Path, head: bytes) -> bool:
    """Whether the text starts as the format does."""
    del path
    return head.lstrip(b"\xef\xbb\xbf \t\r\n")[:9].upper() == b"HIERARCHY"


def load(path: Path, cfg: LoadCfg | None = None) -> Clip:
    """Read one BVH file; ``cfg.units`` and ``cfg.up`` are not in the file.

    End sites are kept as joints called after their parent with ``_end``.

    Raises:
        InputError: not a whole hierarchy with a table of as many numbers as it announces;
            a joint that moves far in its parent; an invalid clip (:func:`checked`).
    """
    cfg = cfg or LoadCfg()
    joints, table, fps = _read(path)
    skeleton = _rigid(path, joints, table)
    tree = Tree(skeleton.parents, np.linalg.norm(skeleton.offsets, axis=-1).tolist())
    scale, note = _scale(path, cfg, tree)
    clip = Clip(
        name=path.stem,
        fps=fps,
        joint_names=skeleton.names,
        parents=skeleton.parents,
        offsets=torch.from_numpy(skeleton.offsets * scale),
        root_pos_w=torch.from_numpy(skeleton.root_pos * scale),
        local_quat=torch.from_numpy(skeleton.quat),
        source=f"bvh:{path.name}{note}",
    )
    return checked(path, _turned(clip, _up(clip, tree, scale) if cfg.up == "auto" else cfg.up))


@dataclass(frozen=True, kw_only=True)
class _Rigid:
    """A skeleton of constant offsets in motion, in the file's unit and axes."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Table
    root_pos: Table
    quat: Table


def _read(path: Path) -> tuple[list[Joint], Table, float]:
    """Return the joints, their channels' values (T, C) and the rate."""
    data = read_bytes(path)
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    motion = MOTION.search(data)
    if motion is None:
        raise InputError(f"{path}: no line 'MOTION'; the file is truncated or no BVH file")
    joints = read_hierarchy(path, data[: motion.start()].decode("utf-8", errors="replace"))
    columns = sum(len(joint.channels) for joint in joints)
    if not columns:
        raise InputError(f"{path}: no joint has a channel, so nothing moves; allowed: {', '.join(CHANNELS)}")
    return joints, *read_motion(path, data, motion.end(), columns)


def _rotations(joints: list[Joint], table: Table) -> Table:
    """Return the local rotations (T, J, 4)."""
    half = np.radians(0.5 * np.ascontiguousarray(table.T))
    cos, sin = np.cos(half), np.sin(half)
    quat = np.zeros((len(table), len(joints), 4))
    quat[..., 0] = 1.0
    orders: dict[str, list[int]] = {}
    for index, joint in enumerate(joints):
        orders.setdefault(joint.order, []).append(index)
    for order, members in orders.items():
        if not order:
            continue
        columns = np.array([joints[index].rotation_columns for index in members]).T
        q = [cos[columns[0]], *(np.zeros((len(members), len(table))) for _ in range(3))]
        q[1 + "XYZ".index(order[0])] = sin[columns[0]]
        for axis, column in zip(order[1:], columns[1:], strict=True):
            q = _then(q, "XYZ".index(axis), cos[column], sin[column])
        quat[:, members] = np.stack(q, axis=-1).swapaxes(0, 1)
    return quat


def _then(q: list[Table], axis: int, cos: Table, sin: Table) -> list[Table]:
    """Return the product of ``q`` and a turn about one axis, given by its half angle."""
    w, u, v, t = q[0], q[1 + axis], q[1 + (axis + 1) % 3], q[1 + (axis + 2) % 3]
    turned = [w * cos - u * sin, q[1], q[2], q[3]]
    turned[1 + axis] = u * cos + w * sin
    turned[1 + (axis + 1) % 3] = v * cos + t * sin
    turned[1 + (axis + 2) % 3] = t * cos - v * sin
    return turned


def _rigid(path: Path, joints: list[Joint], table: Table) -> _Rigid:
    """Turn position channels into constant offsets and the motion of the root."""
    offsets = np.array([joint.offset for joint in joints])
    ways: dict[int, Table] = {}
    for index, joint in enumerate(joints):
        if joint.position_columns:
            axes = list(joint.position_columns)
            ways[index] = table[:, list(joint.position_columns.values())]
            middle = ways[index].mean(axis=0)
            # some writers add to the offset: then the channels stay at zero
            if np.abs(middle).max() > 0.02 * np.linalg.norm(offsets[index]) or index == 0:
                offsets[index, axes] = middle
    parents = [joint.parent for joint in joints]
    span = Tree(parents, np.linalg.norm(offsets, axis=-1).tolist()).span
    root, alone = 0, True
    for index, joint in enumerate(joints):
        alone = alone and joint.parent == index - 1 and parents.count(index - 1) == 1
        if index == 0 or index not in ways:
            continue
        reach = float(np.ptp(ways[index], axis=0).max())
        if reach > MOVING * span and alone:
            root = index
        elif reach > SOFT * span:
            raise InputError(
                f"{path}: joint '{joint.name}' moves by {reach / span:.0%} of the skeleton's size in its "
                "parent; bones of constant length are needed: export without stretching"
            )
    quat = _rotations(joints, table)
    pos, turn = _positions(joints[0], ways.get(0), offsets[0], len(table)), torch.from_numpy(quat[:, 0])
    for index in range(1, root + 1):
        step = _positions(joints[index], ways.get(index), offsets[index], len(table))
        pos = pos + rot.rotate(turn, step)
        turn = rot.mul(turn, torch.from_numpy(quat[:, index]))
    quat[:, root] = turn.numpy()
    return _Rigid(
        names=tuple(joint.name for joint in joints[root:]),
        parents=(-1, *(parent - root for parent in parents[root + 1 :])),
        offsets=np.concatenate((np.zeros((1, 3)), offsets[root + 1 :])),
        root_pos=pos.numpy(),
        quat=quat[:, root:],
    )


def _positions(joint: Joint, way: Table | None, offset: Table, frames: int) -> torch.Tensor:
    """Return the position (T, 3) of a joint in its parent."""
    pos = np.tile(offset, (frames, 1))
    if way is not None:
        pos[:, list(joint.position_columns)] = way
    return torch.from_numpy(pos)


def _scale(path: Path, cfg: LoadCfg, tree: Tree) -> tuple[float, str]:
    """Return the unit [m] and, where it is none of the known ones, a note."""
    if cfg.units != "auto":
        return UNITS[cfg.units], ""
    stature = tree.stature()
    if not stature > 0:
        raise InputError(
            f"{path}: the skeleton has no size, so its unit cannot be inferred; declare it (units: cm)"
        )
    unit = min(UNITS.values(), key=lambda each: abs(np.log(each * stature / STATURE)))
    if BELIEVED[0] <= unit * stature <= BELIEVED[1]:
        return unit, ""
    return STATURE / stature, f" (of no known unit, scaled to {STATURE:.2f} m)"


def _up(clip: Clip, tree: Tree, scale: float) -> Axis:
    """Return the axis of the file that points up, y or z.

    Each is rated by how the trunk stands on the legs along it, in the motion and (less) in
    the pose of zero rotation, and by whether the lowest joints keep to the height zero.
    """
    limbs = tree.limbs()
    if limbs is None:
        return "y"
    frames = torch.linspace(0, clip.num_frames - 1, min(_SAMPLES, clip.num_frames)).long()
    quat = clip.local_quat[frames]
    rest = torch.tensor((1.0, 0.0, 0.0, 0.0), dtype=quat.dtype).expand(1, quat.shape[1], 4)
    turns = rot.to_matrix(torch.cat((quat, rest))).numpy()
    pos = [np.concatenate((clip.root_pos_w[frames].numpy(), np.zeros((1, 3))))]
    world = [turns[:, 0]]
    offsets = clip.offsets.numpy()
    for joint, parent in enumerate(clip.parents[1:], start=1):
        pos.append(pos[parent] + world[parent] @ offsets[joint])
        world.append(world[parent] @ turns[:, joint])
    places = np.stack(pos, axis=1)
    trunk = places[:, limbs.chest] - 0.5 * (places[:, limbs.legs[0][-1]] + places[:, limbs.legs[1][-1]])
    trunk /= np.linalg.norm(trunk, axis=-1, keepdims=True) + 1e-12
    lowest = places[:-1].min(axis=1)
    size = scale * tree.stature()
    floor = (np.abs(np.median(lowest, axis=0)) < 0.15 * size) & (lowest.std(axis=0) < 0.1 * size)
    rating = trunk[:-1].mean(axis=0) + 0.75 * floor + 0.5 * trunk[-1]
    return "z" if rating[2] > rating[1] else "y"


def _turned(clip: Clip, up: Axis) -> Clip:
    """Return the clip in axes of which z is up: positions and the axes of all rotations turn."""
    turn = rot.to_matrix(to_z_up(up)).T
    around = torch.block_diag(torch.ones(1, 1, dtype=turn.dtype), turn)
    return replace(
        clip,
        offsets=clip.offsets @ turn,
        root_pos_w=clip.root_pos_w @ turn,
        local_quat=clip.local_quat @ around,
    )
