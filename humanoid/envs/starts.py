"""Unusual starts: beside the reference, in another motion, or on the floor.

SkillMimic-V2's data tricks (arXiv 2505.02094) as pools made once, before training:

- *neighbour* (state transition field): a frame with noise on everything, joined to the
  frame of its clip that is most like the result;
- *stitched* (stitched graph): a frame of another clip, moved to the most similar frame of
  the clip that shall be performed;
- *fallen*: a body that was dropped limp, joined to the most similar frame of a clip that
  gets up.

A start that differs from its frame is given time: the reference waits, ``-log10`` of the
similarity steps (a fixed time for the fallen), in which nothing counts as failure. The
steps of joined starts are masked: they earn what the others earn on average, so that
nothing is learned from them (SkillMimic-V2's code does the same); the fallen earn their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from humanoid.bodies.kinematics import Kinematics
from humanoid.bodies.state import BodyState, cat
from humanoid.core.constraints import Checked, Count, Interval, Natural, NonNegative, Positive, Share
from humanoid.core.errors import ConfigError
from humanoid.envs import events, planar
from humanoid.envs.events import EventCfg, Range6
from humanoid.motion.library import MotionLibrary

KINDS = ("neighbour", "stitched", "fallen")
_CANDIDATES = 4096
"""Frames of a library that is larger are thinned to about so many before they are compared."""


@dataclass(frozen=True, kw_only=True)
class StartCfg(Checked):
    """Shares of the kinds of starts (the rest starts on the reference) and how they are made."""

    neighbour: Share = 0.0
    """Share that starts beside the reference; SkillMimic-V2: 0.1."""
    stitched: Share = 0.0
    """Share that starts in another clip; SkillMimic-V2: 0.1."""
    fallen: Share = 0.0
    """Share that starts lying as it fell."""
    pool: Count = 4096
    """Starts of each kind that are made at most."""
    noise_pose: Range6 = (0.1, 0.1, 0.1, 0.1, 0.1, 0.1)
    """Half-widths of a neighbour's x, y, z [m], roll, pitch, yaw [rad]."""
    noise_twist: Range6 = (0.1, 0.1, 0.1, 0.1, 0.1, 0.1)
    """Half-widths of a neighbour's root velocity [m/s] and angular velocity [rad/s]."""
    noise_joints: NonNegative = 0.1
    """Half-width of a neighbour's joint angles [rad] and joint velocities [rad/s]."""
    least_similarity: Annotated[Positive, Interval(0.0, 1.0)] = 1e-10
    """Joined pairs less similar than this are dropped."""
    longest_wait: Natural = 10
    """Control steps that the reference waits for a joined start at most."""
    fallen_seconds: NonNegative = 1.0
    """Time that the reference waits for a fallen body [s]."""
    fallen_clips: tuple[str, ...] = ("getup",)
    """Parts of the names of the clips that get up."""

    def __post_init__(self) -> None:
        """Check the fields; the shares sum to one at most."""
        super().__post_init__()
        total = sum(getattr(self, kind) for kind in KINDS)
        if total > 1.0:
            raise ConfigError(f"StartCfg: shares of {', '.join(KINDS)} sum to {total:g}; 1 at most")

    @property
    def enabled(self) -> bool:
        """Whether any start differs from the reference's."""
        return any(getattr(self, kind) > 0.0 for kind in KINDS)


@dataclass(frozen=True)
class Pool:
    """Starts of one kind, M of them.

    Attributes:
        row: (M,) row of the library to perform from.
        state: joints and, as its only body, the root.
        wait: (M,) control steps for which the reference waits.
        masked: whether these steps are nothing to learn from.
    """

    row: Tensor
    state: BodyState
    wait: Tensor
    masked: bool


class Starts:
    """Draws starts for environments that are sent to a bin of the library."""

    def __init__(
        self,
        cfg: StartCfg,
        library: MotionLibrary,
        bin_of_row: Tensor,
        limits: Tensor,
        drop: Callable[[], BodyState],
        generator: torch.Generator,
    ) -> None:
        """Make the pools that ``cfg`` asks for.

        Args:
            cfg: shares and how starts are made.
            library: motions to start in.
            bin_of_row: (F,) bin of the sampler of each row.
            limits: (D, 2) joint limits [rad].
            drop: returns states of bodies that have fallen, all bodies; called a few times.
            generator: of the library's device.

        Raises:
            ConfigError: there are no starts of a kind that is asked for.
        """
        self.generator = generator
        self._joints = library.body.num_joints
        pools: dict[str, Pool] = {}
        if cfg.neighbour:
            pools["neighbour"] = neighbours(cfg, library, limits, generator)
        if cfg.stitched:
            pools["stitched"] = stitched(cfg, library, generator)
        if cfg.fallen:
            pools["fallen"] = fallen(cfg, library, _several(drop, cfg.pool))
        for kind, pool in pools.items():
            if not len(pool.row):
                raise ConfigError(
                    f"start.{kind} is {getattr(cfg, kind):g}, but no two frames can be joined so; it needs "
                    "clips that resemble one another, or a smaller start.least_similarity"
                )
        shares = [getattr(cfg, kind) for kind in pools]
        self._edges = torch.tensor(shares, device=library.device).cumsum(0)
        self._lay_out(pools, bin_of_row)

    def _lay_out(self, pools: dict[str, Pool], bin_of_row: Tensor) -> None:
        """Put all pools into one table and note where in it each kind's starts of a bin are, and how many."""
        rows, firsts, counts, done = [], [], [], 0
        bins = int(bin_of_row.max()) + 1
        for kind, pool in pools.items():
            at = bin_of_row[pool.row]
            order = at.argsort(stable=True)
            count = torch.bincount(at, minlength=bins)
            first = count.cumsum(0) - count
            if kind == "fallen":  # whoever falls gets up, whatever it was about to perform
                count, first = torch.full_like(count, len(order)), torch.zeros_like(first)
            rows.append(_packed(pool)[order])
            firsts.append(first + done)
            counts.append(count)
            done += len(order)
        # one more kind, of which no bin has any: the start on the reference
        none = torch.zeros_like(counts[0])
        self._first, self._count = torch.stack((*firsts, none)), torch.stack((*counts, none))
        self._table = torch.cat(rows)

    def draw(self, bins: Tensor) -> tuple[Tensor, Tensor, BodyState, Tensor, Tensor]:
        """Return starts for environments that the sampler sends to ``bins (B,)``.

        Returns:
            Whether a start is unusual (B,) bool, and where it is: its row (B,), its state
            (joints and root), its wait (B,) and whether that is masked (B,) bool.
        """
        options = {"generator": self.generator, "device": bins.device}
        kind = torch.searchsorted(self._edges, torch.rand(len(bins), **options), right=True)
        count = self._count[kind, bins]
        inside = (torch.rand(len(bins), **options) * count).long()
        index = (self._first[kind, bins] + inside).clamp(max=len(self._table) - 1)
        picked = self._table.index_select(0, index)
        row, wait, masked = picked[:, 0].long(), picked[:, 1].long(), picked[:, 2] > 0.5
        pos, quat, lin, ang, q, dq = picked[:, 3:].split((3, 4, 3, 3, self._joints, self._joints), dim=-1)
        state = BodyState(q, dq, pos[:, None], quat[:, None], lin[:, None], ang[:, None])
        unusual = count > 0
        return unusual, row, state, wait * unusual, masked & unusual


def neighbours(cfg: StartCfg, library: MotionLibrary, limits: Tensor, generator: torch.Generator) -> Pool:
    """Return frames with noise, each joined to the frame of its clip that is most like it."""
    options = {"generator": generator, "device": library.device}
    usable = _not_last(library)
    source = usable[torch.randint(len(usable), (min(cfg.pool, 4 * len(usable)),), **options)]
    noise = EventCfg(start_pose=cfg.noise_pose, start_twist=cfg.noise_twist, start_joints=cfg.noise_joints)
    state = events.perturbed_start(library.rows(source), limits, noise, generator)
    speed = state.joint_vel + events.uniform(tuple(state.joint_vel.shape), generator) * cfg.noise_joints
    state = BodyState(state.joint_pos, speed, *list(vars(state).values())[2:])
    frames = torch.cat((_candidates(library), source)).unique()
    allowed = library.clip[source][:, None] == library.clip[frames]
    # the noise on place and heading stays: that is what the body shall walk off; so frames are compared
    # where they are, or a step of a walk would be joined to the same step of another cycle, metres away
    pairing = planar.pair(_whole(state, library), library.rows(frames), allowed, in_place=True)
    return _joined(cfg, frames[pairing.index], state, pairing.distance)


def stitched(cfg: StartCfg, library: MotionLibrary, generator: torch.Generator) -> Pool:
    """Return frames moved to the most similar frame of some other clip."""
    options = {"generator": generator, "device": library.device}
    usable = _not_last(library)
    source = usable[torch.randint(len(usable), (cfg.pool,), **options)]
    goal = torch.randint(library.num_clips, (cfg.pool,), **options)
    frames = _candidates(library)
    allowed = (goal[:, None] == library.clip[frames]) & (goal != library.clip[source])[:, None]
    state = library.rows(source)
    pairing = planar.pair(state, library.rows(frames), allowed)
    return _joined(cfg, frames[pairing.index], planar.moved(state, pairing), pairing.distance)


def fallen(cfg: StartCfg, library: MotionLibrary, state: BodyState) -> Pool:
    """Return fallen bodies moved to the most similar frame of a clip that gets up.

    Raises:
        ConfigError: no clip's name has one of the parts that ``cfg`` names, or nobody has fallen.
    """
    parts = cfg.fallen_clips
    rises = [any(part in name for part in parts) for name in library.names]
    if not any(rises):
        raise ConfigError(
            f"start.fallen is {cfg.fallen:g}, but no clip's name has any of {list(parts)}; add clips that "
            "get up or name others in start.fallen_clips"
        )
    if not len(state.joint_pos):
        raise ConfigError(
            f"start.fallen is {cfg.fallen:g}, but no body that was dropped came to rest; use more num_envs"
        )
    frames = _candidates(library, torch.tensor(rises, device=library.device))
    pairing = planar.pair(state, library.rows(frames))
    wait = torch.full_like(pairing.index, round(cfg.fallen_seconds * library.fps))
    return Pool(frames[pairing.index], planar.moved(state, pairing), wait, masked=False)


def _joined(cfg: StartCfg, row: Tensor, state: BodyState, distance: Tensor) -> Pool:
    """Keep the pairs that are similar enough; they wait ``-log10`` of their similarity."""
    near = (distance < -math.log(cfg.least_similarity)).nonzero()[:, 0]
    wait = (distance[near] / math.log(10.0)).ceil().clamp(max=cfg.longest_wait).long()
    root = state.map(lambda tensor: tensor[near, :1] if tensor.ndim == 3 else tensor[near])
    return Pool(row[near], root, wait, masked=True)


def _not_last(library: MotionLibrary) -> Tensor:
    """Return the rows from which a step can be taken."""
    last = (library.start + library.length - 1)[library.clip]
    rows = torch.arange(library.num_frames, device=library.device)
    return rows[rows < last]


def _candidates(library: MotionLibrary, clips: Tensor | None = None) -> Tensor:
    """Return rows to join to, of some ``clips (C,) bool``: every one or, of many, every n-th."""
    rows = _not_last(library)
    if clips is not None:
        rows = rows[clips[library.clip[rows]]]
    return rows[:: max(1, len(rows) // _CANDIDATES)]


def _whole(state: BodyState, library: MotionLibrary) -> BodyState:
    """Return a state that has its root only with all its bodies' poses; twists stay the root's."""
    pos, quat = Kinematics(library.body, library.device).poses(
        state.root_pos_w, state.root_quat_w, state.joint_pos
    )
    return BodyState(state.joint_pos, state.joint_vel, pos, quat, state.body_lin_vel_w, state.body_ang_vel_w)


def _several(drop: Callable[[], BodyState], wanted: int) -> BodyState:
    """Drop bodies until there are about ``wanted`` of them, eight times at most."""
    states = [drop()]
    while sum(len(state.joint_pos) for state in states) < wanted and len(states) < 8:
        states.append(drop())
    return cat(states)


def _packed(pool: Pool) -> Tensor:
    """Return a pool as one table: row, wait, masked, root pose and twist, joints."""
    state, facts = pool.state, (pool.row, pool.wait, torch.full_like(pool.wait, int(pool.masked)))
    root = (state.root_pos_w, state.root_quat_w, state.root_lin_vel_w, state.root_ang_vel_w)
    # float32 holds whole numbers up to 2^24: 93 hours of frames
    return torch.cat((torch.stack(facts, -1).float(), *root, state.joint_pos, state.joint_vel), dim=-1)
