"""Strolls: walks that stop, stand, go back and go on, made of walks that only go on.

A captured walk is a film. Wound slower it is a slow walk; stopped where both feet bear
weight, with the body between them, it stands; wound backwards it walks backwards. Positions
of a film that runs backwards are the same and so are its accelerations, so what
carried the body forward carries it back: forces need not change, only balance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.mirror import twin_name
from humanoid.core.errors import ConfigError
from humanoid.motion.edit import played
from humanoid.motion.motion import Motion
from humanoid.spatial import rotation as rot
from humanoid.spatial.signals import smooth_step, smooth_step_area

MOST_FLIGHT = 0.15
"""Share of a walk's frames in which no foot is labelled as standing, at most."""
SLOWEST = 0.3
"""Mean speed of a walk [m/s], at least."""


@dataclass(frozen=True, kw_only=True)
class StrollCfg:
    """How strolls are put together."""

    count: int = 0
    """Number of strolls; 0 for none. They take turns with the motions that can be made one."""
    seconds: float = 20.0
    """Length of each [s]."""
    stay: tuple[float, float] = (1.5, 4.0)
    """Shortest and longest time on the way between two stops [s]."""
    stand: tuple[float, float] = (0.0, 1.5)
    """Shortest and longest time at a stop [s]."""
    forward: tuple[float, float] = (0.7, 1.1)
    """Slowest and fastest forward, as a factor on the capture's speed."""
    backward: tuple[float, float] = (0.6, 1.0)
    """The same, of what goes back."""
    turn_back: float = 0.6
    """Share of stops after which the way goes on to the other side."""
    ramp: float = 0.7
    """Time to stop or to get going [s]; a walk at 1 m/s then brakes with 2.7 m/s^2 at most."""

    def __post_init__(self) -> None:
        """Refuse what is no stroll."""
        if self.count < 0 or not 0.0 < self.seconds < 1e4 or not 0.0 < self.ramp < 1e2:
            raise ConfigError(
                f"stroll: count {self.count}, seconds {self.seconds:g}, ramp {self.ramp:g}; "
                "count must be 0 or more, the others positive"
            )
        for name in ("stay", "stand", "forward", "backward"):
            low, high = getattr(self, name)
            if not 0.0 <= low <= high < 1e2 or (low == 0.0 and name != "stand"):
                raise ConfigError(f"stroll.{name} is {[low, high]}; 0 < lowest <= highest is needed")
        if not 0.0 <= self.turn_back <= 1.0:
            raise ConfigError(f"stroll.turn_back is {self.turn_back:g}; it must be in 0-1")


def strolls(motions: Sequence[Motion], body: Embodiment, cfg: StrollCfg, seed: int = 0) -> list[Motion]:
    """Return ``cfg.count`` strolls, called ``stroll0``, ``stroll1``, ...

    What is no walk (:func:`is_walk`), or stands on both feet but once, is passed over; if all are,
    there are none.
    """
    if not cfg.count:
        return []
    walks = [motion for motion in motions if is_walk(motion, body)]
    films = [(motion, stops) for motion in walks if len(stops := resting(motion, body)) > 1]
    generator = torch.Generator().manual_seed(seed)
    found = []
    for index in range(cfg.count if films else 0):
        motion, stops = films[index % len(films)]
        frames, speed = _reel(motion, stops.tolist(), cfg, generator)
        film = played(motion, frames, speed, body)
        found.append(replace(film, name=f"stroll{index}", provenance={"stroll_of": motion.name}))
    return found


def is_walk(motion: Motion, body: Embodiment) -> bool:
    """Return whether a motion goes somewhere on its feet alone, and handles nothing.

    Labels of contact let a walk fly for an instant between two steps; a run flies half the time.
    """
    on_feet = torch.tensor([name in body.feet for name in motion.contact_names], dtype=torch.bool)
    flies = ~motion.contact[:, on_feet].any(1)
    speed = motion.states.root_lin_vel_w[:, :2].norm(dim=-1).mean()
    return (
        motion.prop is None
        and not bool(motion.contact[:, ~on_feet].any())
        and float(flies.float().mean()) <= MOST_FLIGHT
        and float(speed) >= SLOWEST
    )


def resting(motion: Motion, body: Embodiment) -> Tensor:
    """Return the frames (S,) at which a body may stop: of each time on both feet the best balanced one.

    Balanced is what has its centre of mass least far from the middle between the feet.
    """
    motion = motion.for_body(body)
    names = [name for name in motion.contact_names if name in body.feet]
    left = [name for name in names if name < twin_name(name, body.body_names)]
    right = [name for name in names if name not in left]
    if not left or not right:
        return torch.zeros(0, dtype=torch.long)
    s = motion.states
    columns = [[motion.contact_names.index(name) for name in side] for side in (left, right)]
    both = motion.contact[:, columns[0]].any(1) & motion.contact[:, columns[1]].any(1)
    places = [s.body_pos_w[:, body.body_ids(side), :2].mean(1) for side in (left, right)]
    centre, mass = torch.as_tensor(body.inertia[0]).float(), torch.as_tensor(body.body_mass).float()
    com = s.body_pos_w + rot.rotate(s.body_quat_w, centre.expand_as(s.body_pos_w))
    com = (mass[:, None] * com).sum(1)[:, :2] / mass.sum()
    off = (com - 0.5 * (places[0] + places[1])).norm(dim=-1)
    edges = pad(both.int(), (1, 1)).diff()
    begins, ends = ((edges == sign).nonzero()[:, 0].tolist() for sign in (1, -1))
    best = [begin + int(off[begin:end].argmin()) for begin, end in zip(begins, ends, strict=True)]
    return torch.tensor(best, dtype=torch.long)


def _reel(
    motion: Motion, stops: list[int], cfg: StrollCfg, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return which frames are shown (T,) and how fast they pass (T,)."""
    parts: list[tuple[Tensor, Tensor]] = []
    wanted = round(cfg.seconds * motion.fps) + 1
    for part in _parts(stops, motion.fps, cfg, generator):
        parts.append(part)
        if sum(len(frames) for frames, _ in parts) >= wanted:
            break
    frames, speed = (torch.cat(column)[:wanted] for column in zip(*parts, strict=True))
    return frames, speed


def _parts(
    stops: list[int], fps: float, cfg: StrollCfg, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield ways from stop to stop, each followed by the time that is stood there, without an end."""

    def uniform(bounds: tuple[float, float]) -> float:
        low, high = bounds
        return low + (high - low) * float(torch.rand((), generator=generator))

    here = int(torch.randint(len(stops), (), generator=generator))
    way = 1 if here < len(stops) // 2 else -1
    while True:
        pace = uniform(cfg.forward if way > 0 else cfg.backward)
        goal = stops[here] + way * pace * uniform(cfg.stay) * fps
        ahead = range(here + 1, len(stops)) if way > 0 else range(here)
        if not ahead:
            way = -way
            continue
        there = min(ahead, key=lambda stop: abs(stops[stop] - goal))
        yield _way(stops[here], stops[there], pace, max(round(cfg.ramp * fps), 1))
        count = round(uniform(cfg.stand) * fps)
        yield torch.full((count,), float(stops[there]), dtype=torch.float64), torch.zeros(count).double()
        here = there
        if float(torch.rand((), generator=generator)) < cfg.turn_back:
            way = -way


def _way(begin: int, end: int, pace: float, ramp: int) -> tuple[Tensor, Tensor]:
    """Return frames and their speeds from rest to rest, without the last: up to a pace, on at it, down again.

    Each ramp takes ``ramp`` frames and is a smooth step, so neither the speed nor the acceleration
    jumps; a way that is too short for two of them is slower.
    """
    length = abs(end - begin)
    cruise = max(length / pace - ramp, 0.0)
    total = max(math.ceil(cruise + 2 * ramp), 1)
    cruise = total - 2 * ramp
    pace = length / (cruise + ramp)
    time = torch.arange(total, dtype=torch.float64)
    up, down = (time / ramp).clamp(0, 1), ((total - time) / ramp).clamp(0, 1)
    speed = pace * smooth_step(torch.minimum(up, down))
    ramps = ramp * (smooth_step_area(up) + 0.5 - smooth_step_area(down))
    gone = pace * (ramps + (time - ramp).clamp(0, cruise))
    sign = 1.0 if end > begin else -1.0
    return begin + sign * gone, sign * speed
