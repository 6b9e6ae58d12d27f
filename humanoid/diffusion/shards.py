"""Rollouts on disk, in numbered shards of one size with an index, and training windows cut from them.

``index.json`` is written after the shard it names, both in one piece, so that a kill leaves
a folder that goes on with the next shard. A shard is read with ``weights_only``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.core.config import first_difference
from humanoid.core.constraints import Checked, Share
from humanoid.core.errors import InputError, MismatchError
from humanoid.core.runs import atomic_save, atomic_write_text, open_run
from humanoid.diffusion.trajectory import Frame, Layout, TrajectoryCfg
from humanoid.nn.checkpoint import read_torch

INDEX = "index.json"


@dataclass(frozen=True)
class Rollouts:
    """Recorded motion of R rollouts of F frames each.

    Attributes:
        states: (R, F, S) float32 world features, see :mod:`humanoid.diffusion.trajectory`.
        latents: (R, F, Z) float32; row f is held from frame f to f + 1.
        clip: (R,) long, index into ``clips``.
        clips: names.
    """

    states: Tensor
    latents: Tensor
    clip: Tensor
    clips: tuple[str, ...]

    def select(self, rows: Tensor) -> Rollouts:
        """Return the rollouts of ``rows`` (M,) long."""
        return Rollouts(
            self.states.index_select(0, rows),
            self.latents.index_select(0, rows),
            self.clip.index_select(0, rows),
            self.clips,
        )


@dataclass(frozen=True, kw_only=True)
class ShardHeader:
    """Origin of the rollouts of a folder.

    Attributes:
        root: name of the root body.
        bodies: names of the other bodies, in the order of a state's numbers.
        layout: name of every number of a state.
        dt: time between frames [s].
        latent_width: Z.
        latent: digest of the latent checkpoint whose latents these are.
        body: signature of the body.
        clips: names that ``Rollouts.clip`` indexes.
        collection: how they were collected, plain values.
    """

    root: str
    bodies: tuple[str, ...]
    layout: tuple[str, ...]
    dt: float
    latent_width: int
    latent: str
    body: dict[str, Any]
    clips: tuple[str, ...]
    collection: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        layout: Layout,
        body: Embodiment,
        latent_width: int,
        latent: str,
        clips: tuple[str, ...],
        collection: Mapping[str, Any] | None = None,
    ) -> ShardHeader:
        """Describe rollouts of ``body``; the arguments are those of the class."""
        return cls(
            root=layout.root,
            bodies=layout.bodies,
            layout=tuple(layout.names()),
            dt=layout.cfg.dt,
            latent_width=latent_width,
            latent=latent,
            body=body.signature(),
            clips=tuple(clips),
            collection=dict(collection or {}),
        )

    def make_layout(self, cfg: TrajectoryCfg) -> Layout:
        """Return the layout of tokens of these states.

        Raises:
            MismatchError: other frames a second, or numbers that this version orders otherwise.
        """
        if abs(cfg.dt - self.dt) > 1e-6:
            raise MismatchError(f"trajectory.dt is {cfg.dt} s, the rollouts have {self.dt} s; use theirs")
        layout = Layout(cfg, self.root, self.bodies)
        first_difference("layout", list(self.layout), layout.names(), "the rollouts")
        return layout


class ShardWriter:
    """Writes rollouts into a folder, or goes on with one of the same header."""

    def __init__(self, folder: str | Path, header: ShardHeader) -> None:
        """Open the folder.

        Raises:
            InputError: it cannot be written, or its index cannot be read.
            MismatchError: it holds rollouts of another header; the first difference is named.
        """
        self.folder, self.header = Path(folder), header
        self._shards: list[dict[str, Any]] = []
        if (self.folder / INDEX).exists():
            index = _read_index(self.folder)
            first_difference("header", index["header"], _plain(header), str(self.folder / INDEX))
            self._shards = index["shards"]
        open_run(self.folder)

    @property
    def num_shards(self) -> int:
        """Shards written so far, those of earlier processes included."""
        return len(self._shards)

    @property
    def num_rollouts(self) -> int:
        """Rollouts written so far, those of earlier processes included."""
        return sum(shard["rollouts"] for shard in self._shards)

    def add(self, rollouts: Rollouts) -> Path:
        """Write one shard and name it in the index; return its path.

        Raises:
            InputError: the disk is full, or a number is not finite.
            MismatchError: other clips, widths or frames than the folder's.
        """
        path = self.folder / f"shard_{self.num_shards:05d}.pt"
        count, frames, _ = rollouts.states.shape
        content = {"states": rollouts.states, "latents": rollouts.latents, "clip": rollouts.clip}
        if rollouts.clips != self.header.clips:
            raise MismatchError(f"{path}: the rollouts' clips are not those of the folder's header")
        if self._shards and frames != self._shards[0]["frames"]:
            raise MismatchError(
                f"{path}: rollouts of {frames} frames, the folder's have {self._shards[0]['frames']}"
            )
        _check(path, content, self.header, count, frames)
        atomic_save({key: value.cpu().contiguous() for key, value in content.items()}, path)
        self._shards.append({"file": path.name, "rollouts": count, "frames": frames})
        index = {"header": _plain(self.header), "shards": self._shards}
        atomic_write_text(self.folder / INDEX, json.dumps(index, indent=1) + "\n")
        return path


def read_header(folder: str | Path) -> ShardHeader:
    """Return what the rollouts of a folder are of.

    Raises:
        InputError: no such folder, or an index that cannot be read.
    """
    return _header(Path(folder), _read_index(Path(folder))["header"])


def load_rollouts(folder: str | Path) -> Rollouts:
    """Return all rollouts of a folder, in memory.

    Raises:
        InputError: no such folder, an index or shard that is missing, truncated or foreign.
    """
    folder = Path(folder)
    index = _read_index(folder)
    header = _header(folder, index["header"])
    if not index["shards"]:
        raise InputError(f"{folder}: holds no rollouts yet; collect some first")
    parts = []
    for shard in index["shards"]:
        path = folder / str(shard["file"])
        content = read_torch(path)
        _check(path, content, header, int(shard["rollouts"]), int(shard["frames"]))
        parts.append(content)
    states, latents, clip = (
        torch.cat([part[key] for part in parts]) for key in ("states", "latents", "clip")
    )
    return Rollouts(states, latents, clip, header.clips)


def _check(path: Path, content: Mapping[str, Any], header: ShardHeader, count: int, frames: int) -> None:
    """Refuse a shard whose tensors are not what header and index promise."""
    wanted = {
        "states": ((count, frames, len(header.layout)), torch.float32),
        "latents": ((count, frames, header.latent_width), torch.float32),
        "clip": ((count,), torch.int64),
    }
    for name, (shape, dtype) in wanted.items():
        tensor = content.get(name)
        if not isinstance(tensor, Tensor) or tuple(tensor.shape) != shape or tensor.dtype != dtype:
            given = f"{tuple(tensor.shape)} {tensor.dtype}" if isinstance(tensor, Tensor) else "missing"
            raise InputError(f"{path}: '{name}' is {given}, {shape} {dtype} is needed")
        if not tensor.isfinite().all():
            raise InputError(f"{path}: '{name}' holds a number that is not finite; collect that shard again")
    clip = content["clip"]
    if count and (int(clip.min()) < 0 or int(clip.max()) >= len(header.clips)):
        raise InputError(f"{path}: 'clip' names clip {int(clip.max())}, the index has {len(header.clips)}")


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX
    if not path.is_file():
        raise InputError(f"{path}: no such file; a folder that 'ShardWriter' wrote is needed")
    try:
        index = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON; collect the rollouts again") from error
    shards = index.get("shards") if isinstance(index, dict) else None
    named = isinstance(shards, list) and all(
        isinstance(shard, dict) and {"file", "rollouts", "frames"} <= set(shard) for shard in shards
    )
    if not named or not isinstance(index.get("header"), dict):
        raise InputError(f"{path}: not an index of rollouts; collect the rollouts again")
    return index


def _header(folder: Path, tree: dict[str, Any]) -> ShardHeader:
    tuples = {key: tuple(value) for key, value in tree.items() if key in ("bodies", "layout", "clips")}
    try:
        return ShardHeader(**{**tree, **tuples})
    except TypeError as error:
        raise InputError(
            f"{folder / INDEX}: header of another version; collect the rollouts again"
        ) from error


def _plain(header: ShardHeader) -> dict[str, Any]:
    """Return the header as JSON gives it back."""
    return json.loads(json.dumps(asdict(header)))


class Windows:
    """Draws windows of N + 1 + H frames, each frame of each rollout equally often as now."""

    def __init__(self, rollouts: Rollouts, layout: Layout, device: torch.device) -> None:
        """Put rollouts on a device.

        Raises:
            InputError: the rollouts are shorter than a window, or there is none.
        """
        self.layout, self.device = layout, device
        self.num_rollouts, frames, width = rollouts.states.shape
        self._starts = frames - layout.cfg.num_states + 1
        if self._starts < 1 or self.num_rollouts < 1:
            raise InputError(
                f"{self.num_rollouts} rollouts of {frames} frames; at least one of "
                f"{layout.cfg.num_states} frames is needed: record longer or lower trajectory.horizon"
            )
        self._frames = frames
        self._states = rollouts.states.reshape(-1, width).to(device)
        self._latents = rollouts.latents.reshape(-1, rollouts.latents.shape[-1]).to(device)
        self._state_row = torch.arange(layout.cfg.num_states, device=device)
        self._latent_row = torch.arange(layout.cfg.num_latents, device=device)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return ``count`` windows: state tokens (B, T, S) and latents (B, L, Z)."""
        rollout = self._integers(self.num_rollouts, count, generator)
        first = (rollout * self._frames + self._integers(self._starts, count, generator)).unsqueeze(-1)
        states = self._rows(self._states, first + self._state_row)
        now = Frame.of_features(states[:, self.layout.cfg.history])
        return self.layout.localized(states, now), self._rows(self._latents, first + self._latent_row)

    def _integers(self, end: int, count: int, generator: torch.Generator) -> Tensor:
        return torch.randint(end, (count,), generator=generator, device=self.device)

    @staticmethod
    def _rows(table: Tensor, index: Tensor) -> Tensor:
        return table.index_select(0, index.flatten()).unflatten(0, tuple(index.shape))


@dataclass(frozen=True, kw_only=True)
class NoisingCfg(Checked):
    """Which noise levels a training window gets.

    BeyondMimic draws every token's level independently. That alone hardly ever shows the
    network the input of a planner: a clean past, and a future at one level.
    """

    clean_history: Share = 0.8
    """Share of windows whose history is clean; in the others it is noised like the future."""
    latent_dropout: Share = 0.1
    """Share of windows whose past latents are pure noise, as after a start or a switch of skills."""
    shared: Share = 0.5
    """Share of windows whose future has one level; in the others each token has its own."""
    keyframes: Share = 0.25
    """Share of the windows of one level in which some future states are clean."""
    keyframe_share: Share = 0.1
    """Share of future states that are clean there."""


def draw_levels(
    cfg: NoisingCfg, frames: TrajectoryCfg, levels: int, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return noise levels of ``count`` windows, (B, T) of states and (B, L) of latents, long.

    The history is the states up to now and the latents before now.
    """
    device = generator.device

    def chance(share: float, width: int = 1) -> Tensor:
        return torch.rand(count, width, generator=generator, device=device) < share

    width = frames.num_states + frames.num_latents
    own = torch.randint(levels + 1, (count, width), generator=generator, device=device)
    one = torch.randint(1, levels + 1, (count, 1), generator=generator, device=device)
    shared = chance(cfg.shared)
    level = torch.where(shared, one, own)
    state, latent = level.split((frames.num_states, frames.num_latents), dim=1)
    keyframe = shared & chance(cfg.keyframes) & chance(cfg.keyframe_share, frames.num_states)
    state = state.masked_fill(keyframe, 0)
    past_state = torch.arange(frames.num_states, device=device) <= frames.history
    past_latent = torch.arange(frames.num_latents, device=device) < frames.history
    clean = chance(cfg.clean_history)
    state = state.masked_fill(clean & past_state, 0)
    latent = latent.masked_fill(clean & past_latent, 0)
    return state, latent.masked_fill(chance(cfg.latent_dropout) & past_latent, levels)
