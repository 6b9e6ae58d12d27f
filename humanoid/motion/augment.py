"""Augmentation of motion sets: random walks on a motion graph, and time warping of walking clips.

A motion-graph walk (SkillMimic-V2, arXiv 2505.02094) plays a clip, leaves it at a frame similar to one of
another clip and blends into that: it contains the transitions between skills that a planner needs. Time
warping slows a walking clip, pauses it in double support, or reverses it, with smooth speed ramps.
Accelerations are invariant under time reversal, so the reversed motion needs the same forces.
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
from humanoid.core.errors import ConfigError, InputError
from humanoid.motion.edit import concatenate, cut, played
from humanoid.motion.graph import MotionGraph, motion_graph
from humanoid.motion.library import MotionLibrary
from humanoid.motion.motion import Motion
from humanoid.motion.similarity import SimilarityCfg
from humanoid.spatial import rotation as rot
from humanoid.spatial.signals import smooth_step, smooth_step_area

LIN_VEL = 0.5
"""Weight of velocities [s^2/m^2], five times the paper's: a blend must level their difference."""


@dataclass(frozen=True, kw_only=True)
class GraphWalkCfg:
    """Random walks on a motion graph."""

    count: int = 0
    """Number of walks."""
    seconds: float = 20.0
    """Length of each [s]."""
    stay: tuple[float, float] = (1.0, 3.0)
    """Shortest and longest time in a clip before a transition [s]."""
    similarity: float = 0.02
    """Least similarity of a transition, see :class:`~humanoid.motion.similarity.SimilarityCfg`."""
    blend: float = 0.24
    """Length of the blend [s]."""

    def __post_init__(self) -> None:
        """Check the fields."""
        if self.count < 0 or not self.seconds > 0.0 or not self.blend >= 0.0:
            raise ConfigError(
                f"medley: count {self.count}, seconds {self.seconds:g}, blend {self.blend:g}; "
                "count and blend must be 0 or more, seconds positive"
            )
        if not self.blend <= self.stay[0] <= self.stay[1] < math.inf:
            raise ConfigError(f"medley.stay is {list(self.stay)}; blend <= shortest <= longest is needed")
        if not 0.0 < self.similarity <= 1.0:
            raise ConfigError(f"medley.similarity is {self.similarity:g}; it must be in (0, 1]")


@dataclass(frozen=True)
class Stay:
    """Frames ``first`` up to and without ``last`` of one clip."""

    clip: int
    first: int
    last: int


def graph_walks(
    motions: Sequence[Motion], body: Embodiment, cfg: GraphWalkCfg, seed: int = 0
) -> list[Motion]:
    """Return ``cfg.count`` walks over motions of one rate, named ``medley0``, ``medley1``, ...

    Raises:
        InputError: no two clips are similar enough.
    """
    if not cfg.count:
        return []
    library = MotionLibrary(motions, body)
    graph = motion_graph(library, SimilarityCfg(lin_vel=LIN_VEL, threshold=cfg.similarity))
    if not graph.num_edges:
        raise InputError(
            f"no transition of similarity {cfg.similarity:g} in {len(motions)} clips; lower it or add clips"
        )
    generator = torch.Generator().manual_seed(seed)
    found = []
    for index in range(cfg.count):
        walk = _walk(graph, cfg, generator)
        parts = [cut(motions[p.clip], p.first / graph.fps, (p.last - 1) / graph.fps) for p in walk]
        found.append(concatenate(parts, body, cfg.blend, name=f"medley{index}"))
    return found


def _walk(graph: MotionGraph, cfg: GraphWalkCfg, generator: torch.Generator) -> list[Stay]:
    """Return the longest of up to 20 random walks; the first of full length ends the search."""
    best: list[Stay] = []
    for _ in range(20):
        walk = _attempt(graph, cfg, generator)
        if _frames(walk) > _frames(best):
            best = walk
        if _frames(best) >= cfg.seconds * graph.fps:
            break
    return best


def _attempt(graph: MotionGraph, cfg: GraphWalkCfg, generator: torch.Generator) -> list[Stay]:
    half = round(cfg.blend * graph.fps) // 2
    lengths = graph.length.tolist()
    shares = graph.length.float()
    clip = int(torch.multinomial(shares, 1, generator=generator))
    room = max(lengths[clip] - round(cfg.stay[1] * graph.fps), 1)
    first, walk = int(_uniform((0.0, room), generator)), list[Stay]()
    while _frames(walk) < cfg.seconds * graph.fps:
        wanted = first + half + round(_uniform(cfg.stay, generator) * graph.fps)
        edge = _transition(graph, clip, wanted, round(cfg.stay[0] * graph.fps), half, generator)
        if edge is None:
            walk.append(Stay(clip, first, lengths[clip]))
            break
        places, frames = graph.place(torch.stack((graph.source[edge], graph.target[edge])))
        leave, arrive = frames.tolist()
        walk.append(Stay(clip, first, leave + half))
        clip, first = int(places[1]), arrive - half
    return walk


def _transition(
    graph: MotionGraph, clip: int, wanted: int, stay: int, half: int, generator: torch.Generator
) -> int | None:
    """Return an edge from ``clip`` near frame ``wanted``; its target clip is drawn uniformly."""
    row = int(graph.start[clip]) + wanted
    end = int(graph.start[clip] + graph.length[clip]) - half
    begin, stop = torch.searchsorted(graph.source, torch.tensor([row, max(min(row + stay, end), row)]))
    edges = torch.arange(int(begin), int(stop))
    clips, frames = graph.place(graph.target[edges])
    fits = (frames >= half) & (graph.length[clips] - frames >= stay + 2 * half + 1)
    edges, clips = edges[fits], clips[fits]
    if not len(edges):
        return None
    others = clips.unique()
    other = others[int(torch.randint(len(others), (), generator=generator))]
    edges = edges[clips == other]
    return int(edges[int(graph.similarity[edges].argmax())])


def _frames(walk: Sequence[Stay]) -> int:
    return sum(p.last - p.first for p in walk)


MOST_FLIGHT = 0.15
"""Largest share of frames without a foot contact label in a walk."""
SLOWEST = 0.3
"""Least mean speed of a walk [m/s]."""


@dataclass(frozen=True, kw_only=True)
class TimeWarpCfg:
    """Time warping of walking clips."""

    count: int = 0
    """Number of warped walks, made of the walking clips in turn."""
    seconds: float = 20.0
    """Length of each [s]."""
    stay: tuple[float, float] = (1.5, 4.0)
    """Shortest and longest time between two stops [s]."""
    stand: tuple[float, float] = (0.0, 1.5)
    """Shortest and longest time at a stop [s]."""
    forward: tuple[float, float] = (0.7, 1.1)
    """Least and largest forward time scale."""
    backward: tuple[float, float] = (0.6, 1.0)
    """Least and largest backward time scale."""
    turn_back: float = 0.6
    """Probability that the direction reverses at a stop."""
    ramp: float = 0.7
    """Length of a speed ramp [s]; at 0.7 s a walk at 1 m/s decelerates with 2.7 m/s^2 at most."""

    def __post_init__(self) -> None:
        """Check the fields."""
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


def warped_walks(
    motions: Sequence[Motion], body: Embodiment, cfg: TimeWarpCfg, seed: int = 0
) -> list[Motion]:
    """Return ``cfg.count`` time-warped walks, named ``stroll0``, ``stroll1``, ...; empty without a source.

    Sources are walks (:func:`is_walk`) with two or more stops (:func:`double_support`).
    """
    if not cfg.count:
        return []
    walks = [motion for motion in motions if is_walk(motion, body)]
    sources = [(motion, stops) for motion in walks if len(stops := double_support(motion, body)) > 1]
    generator = torch.Generator().manual_seed(seed)
    found = []
    for index in range(cfg.count if sources else 0):
        motion, stops = sources[index % len(sources)]
        frames, scale = _time_warp(motion, stops.tolist(), cfg, generator)
        warped = played(motion, frames, scale, body)
        found.append(replace(warped, name=f"stroll{index}", provenance={"stroll_of": motion.name}))
    return found


def is_walk(motion: Motion, body: Embodiment) -> bool:
    """Return whether a motion is a walk: foot contacts only, little flight, net speed, no prop.

    Contact labels leave short flight phases between the steps of a walk; a run is in flight half the time.
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


def double_support(motion: Motion, body: Embodiment) -> Tensor:
    """Return the best balanced frame of each double-support phase, (S,).

    Its centre of mass is nearest to the midpoint of the feet, in the plane.
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


def _time_warp(
    motion: Motion, stops: list[int], cfg: TimeWarpCfg, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return source frames (T,) and time scales (T,)."""
    parts: list[tuple[Tensor, Tensor]] = []
    wanted = round(cfg.seconds * motion.fps) + 1
    for part in _pieces(stops, motion.fps, cfg, generator):
        parts.append(part)
        if sum(len(frames) for frames, _ in parts) >= wanted:
            break
    frames, scale = (torch.cat(column)[:wanted] for column in zip(*parts, strict=True))
    return frames, scale


def _pieces(
    stops: list[int], fps: float, cfg: TimeWarpCfg, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield frames and time scales: playback between two stops and a pause, in turn, without end."""
    here = int(torch.randint(len(stops), (), generator=generator))
    sign = 1 if here < len(stops) // 2 else -1
    while True:
        scale = _uniform(cfg.forward if sign > 0 else cfg.backward, generator)
        goal = stops[here] + sign * scale * _uniform(cfg.stay, generator) * fps
        ahead = range(here + 1, len(stops)) if sign > 0 else range(here)
        if not ahead:
            sign = -sign
            continue
        there = min(ahead, key=lambda stop: abs(stops[stop] - goal))
        yield _ramped(stops[here], stops[there], scale, max(round(cfg.ramp * fps), 1))
        count = round(_uniform(cfg.stand, generator) * fps)
        yield torch.full((count,), float(stops[there]), dtype=torch.float64), torch.zeros(count).double()
        here = there
        if float(torch.rand((), generator=generator)) < cfg.turn_back:
            sign = -sign


def _ramped(begin: int, end: int, scale: float, ramp: int) -> tuple[Tensor, Tensor]:
    """Return frames (T,) and time scales (T,) from rest to rest, without the last frame.

    Smooth steps of ``ramp`` frames lead to the time scale and back, so that velocity and acceleration are
    continuous; the scale is lower where the distance is too short for both.
    """
    length = abs(end - begin)
    cruise = max(length / scale - ramp, 0.0)
    total = max(math.ceil(cruise + 2 * ramp), 1)
    cruise = total - 2 * ramp
    scale = length / (cruise + ramp)
    time = torch.arange(total, dtype=torch.float64)
    up, down = (time / ramp).clamp(0, 1), ((total - time) / ramp).clamp(0, 1)
    speed = scale * smooth_step(torch.minimum(up, down))
    ramps = ramp * (smooth_step_area(up) + 0.5 - smooth_step_area(down))
    gone = scale * (ramps + (time - ramp).clamp(0, cruise))
    sign = 1.0 if end > begin else -1.0
    return begin + sign * gone, sign * speed


def _uniform(bounds: tuple[float, float], generator: torch.Generator) -> float:
    low, high = bounds
    return low + (high - low) * float(torch.rand((), generator=generator))
