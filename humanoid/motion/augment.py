"""Medleys: long motions that go from clip to clip where frames resemble each other.

Clips alone do not show how one skill leads to another. A medley is a random walk on the
stitch graph (SkillMimic-V2, arXiv 2505.02094): a clip is played for a while, left at a frame
that resembles one of another clip, and blended into that. What learns from medleys has seen
the passages that a planner needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import ConfigError, InputError
from humanoid.motion.edit import concatenate, cut
from humanoid.motion.graph import StitchCfg, StitchGraph, stitch_graph
from humanoid.motion.library import MotionLibrary
from humanoid.motion.motion import Motion

LIN_VEL = 0.5
"""Weight of velocities [s^2/m^2], five times the paper's: a blend must brake what differs."""


@dataclass(frozen=True, kw_only=True)
class MedleyCfg:
    """How medleys are put together."""

    count: int = 0
    """Number of medleys; 0 for none."""
    seconds: float = 20.0
    """Length of each [s]."""
    stay: tuple[float, float] = (1.0, 3.0)
    """Shortest and longest time in a clip before a passage is looked for [s]."""
    similarity: float = 0.02
    """Least similarity of the frames of a passage, see :class:`~humanoid.motion.graph.StitchCfg`."""
    blend: float = 0.24
    """Length of a passage [s]."""

    def __post_init__(self) -> None:
        """Refuse what is no medley."""
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
class Passage:
    """A stretch of one clip: frames ``first`` up to and without ``last``."""

    clip: int
    first: int
    last: int


def medleys(motions: Sequence[Motion], body: Embodiment, cfg: MedleyCfg, seed: int = 0) -> list[Motion]:
    """Return ``cfg.count`` medleys of motions of one rate, called ``medley0``, ``medley1``, ...

    Raises:
        InputError: no two clips resemble each other enough.
    """
    if not cfg.count:
        return []
    library = MotionLibrary(motions, body)
    graph = stitch_graph(library, StitchCfg(lin_vel=LIN_VEL, threshold=cfg.similarity))
    if not graph.num_edges:
        raise InputError(
            f"no passage of similarity {cfg.similarity:g} between {len(motions)} clips; lower it or add clips"
        )
    generator = torch.Generator().manual_seed(seed)
    found = []
    for index in range(cfg.count):
        walk = _walk(graph, cfg, generator)
        parts = [cut(motions[p.clip], p.first / graph.fps, (p.last - 1) / graph.fps) for p in walk]
        found.append(concatenate(parts, body, cfg.blend, name=f"medley{index}"))
    return found


def _walk(graph: StitchGraph, cfg: MedleyCfg, generator: torch.Generator) -> list[Passage]:
    """Return the longest of a few random walks, one that is long enough if there is any."""
    best: list[Passage] = []
    for _ in range(20):
        walk = _attempt(graph, cfg, generator)
        if _frames(walk) > _frames(best):
            best = walk
        if _frames(best) >= cfg.seconds * graph.fps:
            break
    return best


def _attempt(graph: StitchGraph, cfg: MedleyCfg, generator: torch.Generator) -> list[Passage]:
    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    half = round(cfg.blend * graph.fps) // 2
    lengths = graph.length.tolist()
    shares = graph.length.float()
    clip = int(torch.multinomial(shares, 1, generator=generator))
    room = max(lengths[clip] - round(cfg.stay[1] * graph.fps), 1)
    first, walk = int(uniform(0, room)), list[Passage]()
    while _frames(walk) < cfg.seconds * graph.fps:
        wanted = first + half + round(uniform(*cfg.stay) * graph.fps)
        edge = _passage(graph, clip, wanted, round(cfg.stay[0] * graph.fps), half, generator)
        if edge is None:
            walk.append(Passage(clip, first, lengths[clip]))
            break
        places, frames = graph.place(torch.stack((graph.source[edge], graph.target[edge])))
        leave, arrive = frames.tolist()
        walk.append(Passage(clip, first, leave + half))
        clip, first = int(places[1]), arrive - half
    return walk


def _passage(
    graph: StitchGraph, clip: int, wanted: int, stay: int, half: int, generator: torch.Generator
) -> int | None:
    """Return an edge that leaves ``clip`` about frame ``wanted``, into any clip equally often."""
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
    mine = edges[clips == other]
    return int(mine[int(graph.similarity[mine].argmax())])


def _frames(walk: Sequence[Passage]) -> int:
    return sum(p.last - p.first for p in walk)
