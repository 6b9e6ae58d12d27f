"""Motion graph: transitions between similar frames of different clips.

The stitched trajectory graph of SkillMimic-V2 (arXiv 2505.02094): an edge leads from every frame to the most
similar frame of every other clip, after aligning planar root position and heading, if the similarity
exceeds a threshold. The similarity is ``exp`` of minus a weighted mean squared difference, so the search is
a matrix product in chunks.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from humanoid.core.errors import InputError, MismatchError, nearest, one_line
from humanoid.core.runs import atomic_path
from humanoid.motion.library import MotionLibrary
from humanoid.motion.similarity import SimilarityCfg, alignment_features

CELLS = 1 << 24
"""Number of distances computed at once."""
_ARRAYS = ("source", "target", "similarity", "start", "length")


@dataclass(frozen=True, kw_only=True)
class Transition:
    """Transition between two clips.

    Attributes:
        clip: name of the source clip.
        frame: in it.
        next_clip: name of the target clip.
        next_frame: in it.
        similarity: of the two frames, in (0, 1].
    """

    clip: str
    frame: int
    next_clip: str
    next_frame: int
    similarity: float


@dataclass(frozen=True, kw_only=True)
class MotionGraph:
    """Motion graph over the frames of a library, on the CPU.

    Rows count the frames of all clips in the library's order.

    Attributes:
        names: C clip names.
        fps: frames per second.
        start: (C,) row of each clip's first frame.
        length: (C,) frames of each clip.
        source: (E,) source row, ascending.
        target: (E,) target row, in another clip.
        similarity: (E,) in (0, 1].
    """

    names: tuple[str, ...]
    fps: float
    start: Tensor
    length: Tensor
    source: Tensor
    target: Tensor
    similarity: Tensor

    @property
    def num_edges(self) -> int:
        """Number E of edges."""
        return len(self.source)

    def place(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return clip and frame, each of the shape of ``rows (...,)``."""
        clip = torch.searchsorted(self.start, rows, right=True) - 1
        return clip, rows - self.start[clip]

    def edges(self, clip: str, frame: int) -> list[Transition]:
        """Return the transitions from one frame, the most similar first.

        Raises:
            InputError: no such clip or frame.
        """
        row = self._row(clip, frame)
        first, last = torch.searchsorted(self.source, torch.tensor([row, row + 1])).tolist()
        found = [self._transition(edge) for edge in range(first, last)]
        return sorted(found, key=lambda edge: -edge.similarity)

    def path(self, clip: str, goal: str, frame: int = 0, cost: float = 0.1) -> list[Transition] | None:
        """Return the cheapest path from a frame into another clip, None without one.

        Clips play forwards between transitions. Playback costs 1 per second, a transition of similarity S
        ``cost * (1 - log10 S)``.

        Raises:
            InputError: no such clip or frame.
        """
        begin, end = self._row(clip, frame), self.names.index(self._known(goal))
        if clip == goal:
            return []
        low, high = int(self.start[end]), int(self.start[end] + self.length[end])
        last_row = (self.start + self.length - 1).tolist()
        final = set(last_row)
        source, target = self.source.numpy(), self.target.tolist()
        prices = (cost * (1.0 - self.similarity.log10())).tolist()
        best, came = {begin: 0.0}, dict[int, tuple[int, int]]()
        queue = [(0.0, begin)]
        while queue:
            spent, row = heapq.heappop(queue)
            if spent > best[row]:
                continue
            if low <= row < high:
                return self._backtrack(came, row)
            first, last = np.searchsorted(source, (row, row + 1))
            steps = [(prices[edge], target[edge], edge) for edge in range(first, last)]
            if row not in final:
                steps.append((1.0 / self.fps, row + 1, -1))
            for price, other, edge in steps:
                if spent + price < best.get(other, math.inf):
                    best[other], came[other] = spent + price, (row, edge)
                    heapq.heappush(queue, (spent + price, other))
        return None

    def save(self, path: str | Path) -> None:
        """Write an npz in one piece.

        Raises:
            InputError: the folder cannot be written.
        """
        arrays = {key: getattr(self, key).numpy() for key in _ARRAYS}
        with atomic_path(path) as temporary:
            np.savez_compressed(temporary, names=np.array(self.names), fps=np.array(self.fps), **arrays)

    @classmethod
    def load(cls, path: str | Path, library: MotionLibrary) -> MotionGraph:
        """Read a motion graph over the clips of ``library``.

        Raises:
            InputError: missing or broken file.
            MismatchError: a graph over other clips.
        """
        path = Path(path)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
                names, fps = tuple(str(name) for name in data["names"]), float(data["fps"])
                arrays = {key: torch.from_numpy(data[key]) for key in _ARRAYS}
        except Exception as error:  # damaged zip, deflate and npy data raise a dozen unrelated kinds
            raise InputError(f"{path}: not a readable motion graph: {one_line(error)}") from error
        expected = {"start": library.start.cpu(), "length": library.length.cpu()}
        same = all(torch.equal(arrays[key], expected[key]) for key in expected)
        if names != library.names or not same or abs(fps - library.fps) > 1e-3:
            raise MismatchError(f"{path}: its clips are not those of this library; make it again")
        rows = torch.stack((arrays["source"], arrays["target"]))
        good = arrays["source"].shape == arrays["target"].shape == arrays["similarity"].shape
        if not good or (rows.numel() and not 0 <= int(rows.min()) <= int(rows.max()) < library.num_frames):
            raise InputError(f"{path}: its edges leave the library; make it again")
        return cls(names=names, fps=fps, **arrays)

    def _known(self, clip: str) -> str:
        if clip not in self.names:
            raise InputError(f"'{clip}' is no clip of the motion graph{nearest(clip, self.names)}")
        return clip

    def _row(self, clip: str, frame: int) -> int:
        index = self.names.index(self._known(clip))
        if not 0 <= frame < int(self.length[index]):
            raise InputError(f"clip '{clip}' has no frame {frame}; it has 0 to {int(self.length[index]) - 1}")
        return int(self.start[index]) + frame

    def _transition(self, edge: int) -> Transition:
        clips, frames = self.place(torch.stack((self.source[edge], self.target[edge])))
        return Transition(
            clip=self.names[int(clips[0])],
            frame=int(frames[0]),
            next_clip=self.names[int(clips[1])],
            next_frame=int(frames[1]),
            similarity=float(self.similarity[edge]),
        )

    def _backtrack(self, came: dict[int, tuple[int, int]], row: int) -> list[Transition]:
        found = []
        while row in came:
            row, edge = came[row]
            if edge >= 0:
                found.append(self._transition(edge))
        return found[::-1]


def motion_graph(library: MotionLibrary, cfg: SimilarityCfg | None = None, cells: int = CELLS) -> MotionGraph:
    """Return the motion graph of a library.

    Runs on the library's device in chunks of frames; memory grows with the number of frames
    and of edges, not with the square of the frames.

    Args:
        library: the clips.
        cfg: the defaults if None.
        cells: number of distances computed at once.
    """
    cfg = cfg or SimilarityCfg()
    table = alignment_features(library, cfg)
    table = table - table.mean(0)  # distances are differences of squares: small ones keep precision
    squares = table.square().sum(-1)
    bound = -math.log(cfg.threshold) if cfg.threshold > 0.0 else math.inf
    spans = [(s, s + n) for s, n in zip(library.start.tolist(), library.length.tolist(), strict=True)]
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    size = max(cells // library.num_frames, 1)
    for rows in torch.arange(library.num_frames, device=table.device).split(size):
        distance = squares[rows, None] + squares - 2.0 * table[rows] @ table.T
        for clip, (first, last) in enumerate(spans):
            least, where = distance[:, first:last].min(-1)
            keep = (least < bound) & (library.clip[rows] != clip)
            parts.append((rows[keep].cpu(), (where[keep] + first).cpu(), least[keep].clamp_min(0).cpu()))
    source, target, least = (torch.cat(column) for column in zip(*parts, strict=True))
    order = torch.argsort(source, stable=True)
    return MotionGraph(
        names=library.names,
        fps=library.fps,
        start=library.start.cpu(),
        length=library.length.cpu(),
        source=source[order],
        target=target[order],
        # positive, so that logarithms are finite
        similarity=torch.exp(-least[order]).clamp_min(torch.finfo(torch.float32).tiny),
    )
