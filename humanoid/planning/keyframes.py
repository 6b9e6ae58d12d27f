"""Keyframes of a motion that is to be filled in.

A keyframe file has rows of a time [s], a body, a position
[m, world] and, for the root, a rotation (wxyz, world). In YAML::

    seconds: 4.0            # length of the motion; by default up to the last keyframe
    keyframes:
      - {time: 1.0, body: Pelvis, pos: [0.8, 0.0, 0.92], quat: [1, 0, 0, 0]}
      - {time: 1.0, body: L_Wrist, pos: [0.9, 0.3, 1.4]}

An npz has the same as arrays ``time (K,)``, ``body (K,)``, ``pos (K, 3)`` and, if any,
``quat (K, 4)`` (zeros where there is none) and ``seconds``. Rows of one time are one
keyframe. Of a clip every frame outside its holes is a keyframe with all bodies and velocities.

Where the root's place and rotation are given, the bodies of a keyframe become numbers of a
state token and are clamped while denoising. Without them a token cannot say where a body is,
because it holds bodies relative to the root; these are left to a cost, and called loose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.state import BodyState
from humanoid.core.config import load_config
from humanoid.core.errors import ConfigError, InputError, nearest
from humanoid.core.io import read_npz
from humanoid.diffusion.trajectory import POS, ROT, Layout
from humanoid.planning.costs.pose import Keyframe
from humanoid.planning.costs.steering import Cost
from humanoid.planning.planner import Keyframes
from humanoid.spatial import frames
from humanoid.spatial import rotation as rot

ROOT_MPS, BODY_MPS = 10.0, 20.0
"""A keyframe that root or another body would have to reach faster than this [m/s] is out of
reach: a sprinter's hips reach 12 m/s, a kicking foot 20."""
SHORTEST = 0.04
"""[s] A frame of a plan; nothing shorter is a motion."""
CHAIN_TOLERANCE = 1.1
"""How much longer than the chain of bones between two bodies their distance may be."""
HIGHEST, LOWEST = 3.0, -0.1
"""Heights [m] between which a person's bodies are."""
_KEYS = ("time", "body", "pos", "quat", "seconds")


@dataclass(frozen=True, kw_only=True)
class KeyRow:
    """Where one body shall be at one time."""

    time: float
    """[s] from the start of the motion."""
    body: str
    """Name of the body."""
    pos: tuple[float, float, float]
    """[m], world."""
    quat: tuple[float, float, float, float] | None = None
    """wxyz, world; for the root only."""


@dataclass(frozen=True, kw_only=True)
class KeyFile:
    """A keyframe file."""

    keyframes: tuple[KeyRow, ...] = ()
    """Its rows, in any order."""
    seconds: float = 0.0
    """Length of the motion [s]; 0 for up to the last keyframe."""


@dataclass(frozen=True)
class KeyPoses:
    """Q keyframes of one motion, in the order of time.

    Attributes:
        times: (Q,) [s] from the start of the motion.
        features: (Q, S) world features of a state token, zero where free.
        mask: (Q, S) bool, which of them are given.
        pos_w: (Q, P, 3) [m] of the root and the layout's bodies, world; zero where free.
        given: (Q, P) bool, which of them are given.
        bodies: P names, the root first.
        seconds: length of the motion [s].
    """

    times: Tensor
    features: Tensor
    mask: Tensor
    pos_w: Tensor
    given: Tensor
    bodies: tuple[str, ...]
    seconds: float

    @property
    def loose(self) -> Tensor:
        """(Q, P) bool, positions that no token can hold: bodies whose root is not wholly given."""
        loose = self.given & ~self.mask[:, ROT].all(-1, keepdim=True)
        return torch.cat((torch.zeros_like(loose[:, :1]), loose[:, 1:]), dim=-1)

    def to(self, device: str | torch.device) -> KeyPoses:
        """Return the keyframes on another device."""
        moved = (getattr(self, name).to(device) for name in ("times", "features", "mask", "pos_w", "given"))
        return KeyPoses(*moved, bodies=self.bodies, seconds=self.seconds)


def load_keys(path: str | Path, layout: Layout, body: Embodiment) -> KeyPoses:
    """Read a keyframe file (.yaml, .yml or .npz).

    Raises:
        InputError: missing or malformed file, or keyframes that :func:`keys_of_rows` refuses.
    """
    path = Path(path)
    if path.suffix.lower() not in (".yaml", ".yml", ".npz"):
        raise InputError(f"{path}: keyframes are read from .yaml, .yml and .npz files")
    if not path.is_file():
        raise InputError(f"{path}: no such keyframe file")
    if path.suffix.lower() == ".npz":
        return keys_of_rows(_read_npz(path), layout, body, str(path))
    try:
        return keys_of_rows(load_config(KeyFile, path), layout, body, str(path))
    except ConfigError as error:
        raise InputError(str(error)) from error


def keys_of_rows(given: KeyFile, layout: Layout, body: Embodiment, source: str = "keyframes") -> KeyPoses:
    """Return the keyframes of rows.

    Raises:
        InputError: no rows, an unknown body, a number that is not finite, a rotation of another
            body than the root, two rows of a body at one time, a time outside the motion, or a
            pose or speed that no person reaches.
    """
    bodies = (layout.root, *layout.bodies)
    for row in given.keyframes:
        _check_row(row, bodies, source)
    if not given.keyframes:
        raise InputError(f"{source}: no keyframes; at least one is needed")
    rows = sorted(given.keyframes, key=lambda row: row.time)
    times = _instants(rows, layout.cfg.dt, source)
    pos, known = (
        torch.zeros(len(times), len(bodies), 3),
        torch.zeros(len(times), len(bodies), dtype=torch.bool),
    )
    quat, turned = torch.zeros(len(times), 4), torch.zeros(len(times), dtype=torch.bool)
    for row in rows:
        at, column = times.index(row.time), bodies.index(row.body)
        pos[at, column], known[at, column] = torch.tensor(row.pos), True
        if row.quat is not None:
            quat[at], turned[at] = torch.tensor(row.quat), True
    features, mask = _features(layout, pos, known, rot.normalize(quat), turned)
    seconds = given.seconds or times[-1]
    return checked(KeyPoses(torch.tensor(times), features, mask, pos, known, bodies, seconds), body, source)


def keys_of_states(
    times: Tensor, states: BodyState, seconds: float, layout: Layout, body: Embodiment, source: str = "clip"
) -> KeyPoses:
    """Return whole states as keyframes, with all bodies and velocities.

    Args:
        times: (Q,) [s] from the start of the motion, ascending.
        states: leading axis Q.
        seconds: length of the motion [s].
        layout: of the tokens.
        body: of the states.
        source: for messages.

    Raises:
        InputError: a time outside the motion, or a pose or speed that no person reaches.
    """
    features = layout.features(states, body)
    bodies = (layout.root, *layout.bodies)
    pos = states.body_pos_w[:, body.body_ids(bodies)]
    mask, given = torch.ones_like(features, dtype=torch.bool), torch.ones(pos.shape[:2], dtype=torch.bool)
    keys = KeyPoses(times.float(), features, mask, pos, given.to(pos.device), bodies, seconds)
    return checked(keys, body, source)


def clamped(keys: KeyPoses, now: float, dt: float, count: int) -> Keyframes:
    """Return what tokens hold of keyframes, the same for each of ``count`` plans.

    Args:
        keys: keyframes.
        now: [s] from the start of the motion.
        dt: time between frames [s].
        count: number B of plans.
    """
    offsets = (keys.times - now) / dt
    return Keyframes(*(part.expand(count, *part.shape) for part in (offsets, keys.features, keys.mask)))


def loose_costs(keys: KeyPoses, now: float, dt: float) -> list[Cost]:
    """Return the cost of positions that tokens cannot hold, none without any; as :func:`clamped`."""
    if not bool(keys.loose.any()):
        return []
    others = keys.bodies[1:]
    return [
        Keyframe(
            frames=(keys.times - now) / dt,
            positions_w=keys.pos_w[:, 1:],
            bodies=others,
            mask=keys.loose[:, 1:].float(),
        )
    ]


def key_distances(keys: KeyPoses, pos_w: Tensor) -> tuple[Tensor, Tensor]:
    """Return how far given bodies are from each keyframe: mean and farthest, (Q, ...) [m].

    Args:
        keys: keyframes.
        pos_w: (Q, ..., P, 3) [m] of the same bodies at the same times, world.
    """
    axes = (len(keys.times), *(1,) * (pos_w.ndim - 3), len(keys.bodies))
    given = keys.given.reshape(axes)
    target = keys.pos_w.reshape(*axes, 3)
    distance = torch.where(given, (pos_w - target).norm(dim=-1), 0.0)
    return distance.sum(-1) / given.sum(-1), distance.amax(-1)


def _check_row(row: KeyRow, bodies: tuple[str, ...], source: str) -> None:
    where = f"{source}: keyframe of '{row.body}' at {row.time:g} s"
    if row.body not in bodies:
        raise InputError(f"{where}: no such body in the trajectories{nearest(row.body, bodies)}")
    if not all(map(math.isfinite, (row.time, *row.pos, *(row.quat or ())))):
        raise InputError(f"{where}: holds a number that is not finite")
    if row.quat is None:
        return
    if row.body != bodies[0]:
        raise InputError(f"{where}: has a rotation; only '{bodies[0]}', the root, can be given one")
    if math.hypot(*row.quat) < 0.5:
        raise InputError(f"{where}: quat {list(row.quat)} is no rotation; w, x, y, z of length 1 is needed")


def _instants(rows: list[KeyRow], dt: float, source: str) -> list[float]:
    """Return the times of sorted rows, once each, refusing two of one body that are the same."""
    times: list[float] = []
    last: dict[str, float] = {}
    for row in rows:
        if row.time - last.get(row.body, -math.inf) < dt - 1e-6:
            raise InputError(
                f"{source}: two keyframes of '{row.body}' at {last[row.body]:g} and {row.time:g} s; "
                f"they must be {dt:g} s or more apart"
            )
        last[row.body] = row.time
        if not times or row.time != times[-1]:
            times.append(row.time)
    return times


def _features(
    layout: Layout, pos: Tensor, known: Tensor, quat: Tensor, turned: Tensor
) -> tuple[Tensor, Tensor]:
    """Return world features (Q, S) of positions (Q, P, 3) and root rotations (Q, 4), and which are given."""
    features, mask = torch.zeros(2, len(pos), layout.width)
    whole = turned & known[:, 0]
    features[:, POS], mask[:, POS] = pos[:, 0], known[:, :1].float()
    features[:, ROT], mask[:, ROT] = rot.to_6d(quat), whole[:, None].float()
    heading = frames.yaw_quat(torch.where(whole[:, None], quat, quat.new_tensor((1.0, 0.0, 0.0, 0.0))))
    local = rot.rotate_inverse(heading[:, None], pos[:, 1:] - pos[:, :1])
    placed = (known[:, 1:] & whole[:, None]).float().repeat_interleave(3, dim=-1)
    features[:, layout.body_pos], mask[:, layout.body_pos] = local.flatten(-2), placed
    return features * mask, mask.bool()


def _read_npz(path: Path) -> KeyFile:
    data = read_npz(path, _KEYS)
    count = len(np.atleast_1d(data.get("time", ())))
    shapes = {"time": (count,), "body": (count,), "pos": (count, 3)}
    if "quat" in data:
        shapes["quat"] = (count, 4)
    for key, shape in shapes.items():
        kinds = "U" if key == "body" else "fiu"
        if key not in data or data[key].shape != shape or data[key].dtype.kind not in kinds:
            found = f"{data[key].dtype} of shape {data[key].shape}" if key in data else "absent"
            raise InputError(
                f"{path}: '{key}' is {found}; {'texts' if kinds == 'U' else 'numbers'} of {shape}"
            )
    seconds = data.get("seconds", np.array(0.0))
    if seconds.size != 1 or seconds.dtype.kind not in "fiu":
        raise InputError(
            f"{path}: 'seconds' is {seconds.dtype} of shape {seconds.shape}; one number is needed"
        )
    quats = data.get("quat", np.zeros((count, 4)))
    rows = (
        KeyRow(
            time=float(time),
            body=str(body),
            pos=(float(pos[0]), float(pos[1]), float(pos[2])),
            quat=(float(quat[0]), float(quat[1]), float(quat[2]), float(quat[3])) if quat.any() else None,
        )
        for time, body, pos, quat in zip(data["time"], data["body"], data["pos"], quats, strict=True)
    )
    return KeyFile(keyframes=tuple(rows), seconds=float(seconds.reshape(-1)[0]))


def checked(keys: KeyPoses, body: Embodiment, source: str) -> KeyPoses:
    """Return keyframes that a person can pass through in time, refusing others.

    Raises:
        InputError: naming the first that does not do, and why.
    """
    if not SHORTEST <= keys.seconds < math.inf:
        raise InputError(f"{source}: seconds is {keys.seconds:g}; a motion lasts {SHORTEST:g} s or more")
    for index, time in enumerate(keys.times.tolist()):
        if not -1e-6 <= time <= keys.seconds + 1e-3:
            raise InputError(
                f"{source}: the keyframe at {time:g} s is outside the motion, which lasts from 0 to "
                f"{keys.seconds:g} s"
            )
        if not bool(keys.features[index].isfinite().all()):
            raise InputError(f"{source}: the keyframe at {time:g} s holds a number that is not finite")
    _check_heights(keys, source)
    _check_reach(keys, body, source)
    _check_speeds(keys, source)
    return keys


def _check_heights(keys: KeyPoses, source: str) -> None:
    height = keys.pos_w[..., 2]
    wrong = keys.given & ((height < LOWEST) | (height > HIGHEST))
    if bool(wrong.any()):
        at, column = wrong.nonzero()[0].tolist()
        raise InputError(
            f"{source}: keyframe of '{keys.bodies[column]}' at {float(keys.times[at]):g} s: height "
            f"{float(height[at, column]):.2f} m is out of reach; {LOWEST:g} to {HIGHEST:g} m is possible"
        )


def _check_reach(keys: KeyPoses, body: Embodiment, source: str) -> None:
    """Refuse bodies of one keyframe that are farther apart than their bones reach."""
    chain = torch.tensor(_chains(body, keys.bodies), dtype=keys.pos_w.dtype, device=keys.pos_w.device)
    apart = (keys.pos_w.unsqueeze(-2) - keys.pos_w.unsqueeze(-3)).norm(dim=-1)
    both = keys.given.unsqueeze(-1) & keys.given.unsqueeze(-2)
    wrong = both & (apart > CHAIN_TOLERANCE * chain)
    if bool(wrong.any()):
        at, one, two = wrong.nonzero()[0].tolist()
        raise InputError(
            f"{source}: keyframe at {float(keys.times[at]):g} s: '{keys.bodies[one]}' and "
            f"'{keys.bodies[two]}' are {float(apart[at, one, two]):.2f} m apart, out of reach; "
            f"the body allows {float(chain[one, two]):.2f} m"
        )


def _check_speeds(keys: KeyPoses, source: str) -> None:
    """Refuse a body that would have to be faster than a person between two of its keyframes."""
    for column, name in enumerate(keys.bodies):
        rows = keys.given[:, column].nonzero().flatten()
        time, pos = keys.times[rows], keys.pos_w[rows, column]
        speed = pos.diff(dim=0).norm(dim=-1) / time.diff().to(pos).clamp_min(1e-6)
        limit = ROOT_MPS if column == 0 else BODY_MPS
        if bool((speed > limit).any()):
            at = int((speed > limit).nonzero()[0])
            raise InputError(
                f"{source}: '{name}' would have to move at {float(speed[at]):.1f} m/s between keyframes at "
                f"{float(time[at]):g} and {float(time[at + 1]):g} s; a person reaches {limit:g} m/s"
            )


def _chains(body: Embodiment, names: tuple[str, ...]) -> np.ndarray:
    """Return the length of the bones between each two bodies, (P, P) [m]."""
    length = np.linalg.norm(body.body_pos, axis=-1)
    paths = []
    for index in body.body_ids(names):
        path = set()
        while body.parents[index] >= 0:
            path.add(index)
            index = int(body.parents[index])
        paths.append(path)
    return np.array([[sum(length[i] for i in one ^ two) for two in paths] for one in paths])
