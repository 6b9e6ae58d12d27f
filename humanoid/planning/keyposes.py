"""Keyframes of one motion as numbers, refused before anything is planned if no person can pass through."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import InputError
from humanoid.diffusion.trajectory import ROT

ROOT_MPS, BODY_MPS = 10.0, 20.0
"""A keyframe that root or another body would have to reach faster than this [m/s] is out of
reach: a sprinter's hips reach 12 m/s, a kicking foot 20."""
SHORTEST = 0.04
"""[s] A frame of a plan; nothing shorter is a motion."""
SLACK = 1.1
"""How much longer than the chain of bones between two bodies their distance may be."""
HIGHEST, LOWEST = 3.0, -0.1
"""Heights [m] between which a person's bodies are."""


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
    wrong = both & (apart > SLACK * chain)
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
