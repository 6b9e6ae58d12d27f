"""Off-reference initialisation: episodes that start beside the reference, in another clip, or on the floor.

SkillMimic-V2's augmentations (arXiv 2505.02094) as pools of starts made once, before training:

- *off-reference* (state transition field): a frame with noise on everything, joined to the most similar
  frame of its clip;
- *cross-clip* (stitched trajectory graph): a frame of another clip, moved to the most similar frame of
  the clip to be performed;
- *fallen*: a body dropped limp, joined to the most similar frame of a clip that gets up.

Such a start is given grace steps: the reference stands still, ``-log10`` of the similarity control steps
(a fixed time for the fallen), and nothing counts as failure. Steps of joined starts are masked from the
loss: they earn the mean reward of the others, as in SkillMimic-V2's code; the fallen earn their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from humanoid.bodies.kinematics import Kinematics
from humanoid.bodies.state import BodyState, cat, where
from humanoid.core.constraints import Checked, Count, Interval, Natural, NonNegative, Positive, Share
from humanoid.core.errors import ConfigError
from humanoid.envs import events
from humanoid.envs.events import EventCfg, Range6
from humanoid.motion import similarity
from humanoid.motion.library import MotionLibrary
from humanoid.sim.protocol import Simulator
from humanoid.spatial import rotation as rot

KINDS = ("off_reference", "cross_clip", "fallen")
_CANDIDATES = 4096
"""Frames of a library that is larger are thinned to about so many before they are compared."""


DROP_HEIGHT = (0.05, 0.4)
"""Height of the lowest point from which bodies fall [m]."""
DROP_SECONDS = 2.0
"""Time that they are given to come to rest [s]."""
DROP_BEND = 0.3
"""Share of each joint's range, about its middle, in which the poses are drawn."""
REST_SPEED = 2.0
"""A body whose root is faster than this [m/s] after that time has not come to rest."""


@dataclass(frozen=True, kw_only=True)
class StartCfg(Checked):
    """Shares of the kinds of starts (the rest is reference state initialisation) and how they are made."""

    off_reference: Share = 0.0
    """Share that starts beside the reference; SkillMimic-V2: 0.1."""
    cross_clip: Share = 0.0
    """Share that starts in another clip; SkillMimic-V2: 0.1."""
    fallen: Share = 0.0
    """Share that starts lying on the floor."""
    pool: Count = 4096
    """Largest number of starts of each kind."""
    noise_pose: Range6 = (0.1, 0.1, 0.1, 0.1, 0.1, 0.1)
    """Half-widths of an off-reference start's x, y, z [m], roll, pitch, yaw [rad]."""
    noise_twist: Range6 = (0.1, 0.1, 0.1, 0.1, 0.1, 0.1)
    """Half-widths of its root velocity [m/s] and angular velocity [rad/s]."""
    noise_joints: NonNegative = 0.1
    """Half-width of its joint angles [rad] and joint velocities [rad/s]."""
    min_similarity: Annotated[Positive, Interval(0.0, 1.0)] = 1e-10
    """Joined pairs less similar than this are dropped."""
    max_grace: Natural = 10
    """Largest number of grace steps of a joined start [control steps]."""
    fallen_grace: NonNegative = 1.0
    """Grace of a fallen start [s]."""
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
        """Whether any start is off the reference."""
        return any(getattr(self, kind) > 0.0 for kind in KINDS)


@dataclass(frozen=True)
class Pool:
    """Starts of one kind, M of them.

    Attributes:
        row: (M,) row of the library to perform from.
        state: joints and, as its only body, the root.
        grace: (M,) control steps for which the reference stands still.
        masked: whether these steps are masked from the loss.
    """

    row: Tensor
    state: BodyState
    grace: Tensor
    masked: bool


class Starts:
    """Off-reference starts of B environments, with their grace steps and loss masks.

    Attributes:
        grace: (B,) remaining grace steps.
        off: (B,) bool, whether the present episode started off the reference.
    """

    def __init__(self, num_envs: int, device: torch.device) -> None:
        """Begin without pools: all episodes start on the reference."""
        self.grace = torch.zeros(num_envs, dtype=torch.long, device=device)
        self.off = torch.zeros(num_envs, dtype=torch.bool, device=device)
        self._loss_mask, self._graced = torch.zeros_like(self.off), torch.zeros_like(self.off)
        self._pools: PoolTable | None = None

    def fill(self, pools: PoolTable) -> None:
        """Draw starts from ``pools`` from now on."""
        self._pools = pools

    def draw(self, mask: Tensor, rows: Tensor, bins: Tensor, start: BodyState) -> tuple[Tensor, BodyState]:
        """Begin episodes where ``mask (B,)``; return their rows (B,) and start states.

        Args:
            mask: (B,) bool.
            rows: (B,) rows of reference state initialisation.
            bins: (B,) sampler bins of these rows.
            start: states of these rows, joints and root.
        """
        if self._pools is None:
            self.begin(mask)
            return rows, start
        off, other, state, grace, masked = self._pools.draw(bins)
        self.begin(mask, grace)
        self.off = torch.where(mask, off, self.off)
        self._loss_mask = torch.where(mask, masked, self._loss_mask)
        return torch.where(off, other, rows), where(off, state, start)

    def begin(self, mask: Tensor, grace: Tensor | None = None) -> None:
        """Begin episodes where ``mask (B,)`` on the reference, with grace steps (B,), none by default."""
        self.grace = torch.where(mask, torch.zeros_like(self.grace) if grace is None else grace, self.grace)
        if self._pools is not None:
            self.off, self._loss_mask = self.off & ~mask, self._loss_mask & ~mask

    def advance(self) -> Tensor:
        """Advance one control step; return where the reference stands still in it, (B,) bool."""
        self._graced = self.grace > 0
        self.grace = (self.grace - 1).clamp_min(0)
        return self._graced

    def excuse(self, failed: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
        """Return failures (B,) and rewards (B, G) of the step after grace and loss mask."""
        if self._pools is not None:
            groups = mask_rewards(groups, self._loss_mask & self._graced)
        return failed & ~self._graced, groups


def mask_rewards(groups: Tensor, masked: Tensor) -> Tensor:
    """Give masked environments (B,) the mean reward of the others in each group (B, G)."""
    others = (~masked).unsqueeze(-1).float()
    mean = (groups * others).sum(0) / others.sum(0).clamp_min(1.0)
    return torch.where(masked.unsqueeze(-1), mean, groups)


class PoolTable:
    """Starts of all kinds in one table, drawn by the sampler's bin."""

    def __init__(
        self,
        cfg: StartCfg,
        library: MotionLibrary,
        bin_of_row: Tensor,
        limits: Tensor,
        drop: Callable[[], BodyState],
        generator: torch.Generator,
    ) -> None:
        """Make the pools of the configured shares.

        Args:
            cfg: shares and how starts are made.
            library: motions to start in.
            bin_of_row: (F,) bin of the sampler of each row.
            limits: (D, 2) joint limits [rad].
            drop: returns states of bodies that have fallen, all bodies; called a few times.
            generator: of the library's device.

        Raises:
            ConfigError: a configured kind has no start.
        """
        self.generator = generator
        self._joints = library.body.num_joints
        pools: dict[str, Pool] = {}
        if cfg.off_reference:
            pools["off_reference"] = off_reference(cfg, library, limits, generator)
        if cfg.cross_clip:
            pools["cross_clip"] = cross_clip(cfg, library, generator)
        if cfg.fallen:
            pools["fallen"] = fallen(cfg, library, _several(drop, cfg.pool))
        for kind, pool in pools.items():
            if not len(pool.row):
                raise ConfigError(
                    f"start.{kind} is {getattr(cfg, kind):g}, but no two frames can be joined so; it needs "
                    "clips that resemble one another, or a smaller start.min_similarity"
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
            Whether the start is off the reference (B,) bool; if so its row (B,), state (joints and
            root), grace steps (B,) and loss mask (B,) bool.
        """
        options = {"generator": self.generator, "device": bins.device}
        kind = torch.searchsorted(self._edges, torch.rand(len(bins), **options), right=True)
        count = self._count[kind, bins]
        inside = (torch.rand(len(bins), **options) * count).long()
        index = (self._first[kind, bins] + inside).clamp(max=len(self._table) - 1)
        picked = self._table.index_select(0, index)
        row, grace, masked = picked[:, 0].long(), picked[:, 1].long(), picked[:, 2] > 0.5
        pos, quat, lin, ang, q, dq = picked[:, 3:].split((3, 4, 3, 3, self._joints, self._joints), dim=-1)
        state = BodyState(q, dq, pos[:, None], quat[:, None], lin[:, None], ang[:, None])
        off = count > 0
        return off, row, state, grace * off, masked & off


def off_reference(cfg: StartCfg, library: MotionLibrary, limits: Tensor, generator: torch.Generator) -> Pool:
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
    pairing = similarity.pair(_whole(state, library), library.rows(frames), allowed, in_place=True)
    return _joined(cfg, frames[pairing.index], state, pairing.distance)


def cross_clip(cfg: StartCfg, library: MotionLibrary, generator: torch.Generator) -> Pool:
    """Return frames moved to the most similar frame of some other clip."""
    options = {"generator": generator, "device": library.device}
    usable = _not_last(library)
    source = usable[torch.randint(len(usable), (cfg.pool,), **options)]
    goal = torch.randint(library.num_clips, (cfg.pool,), **options)
    frames = _candidates(library)
    allowed = (goal[:, None] == library.clip[frames]) & (goal != library.clip[source])[:, None]
    state = library.rows(source)
    pairing = similarity.pair(state, library.rows(frames), allowed)
    return _joined(cfg, frames[pairing.index], similarity.moved(state, pairing), pairing.distance)


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
    pairing = similarity.pair(state, library.rows(frames))
    grace = torch.full_like(pairing.index, round(cfg.fallen_grace * library.fps))
    return Pool(frames[pairing.index], similarity.moved(state, pairing), grace, masked=False)


def _joined(cfg: StartCfg, row: Tensor, state: BodyState, distance: Tensor) -> Pool:
    """Keep the pairs that are similar enough; their grace is ``-log10`` of their similarity."""
    near = (distance < -math.log(cfg.min_similarity)).nonzero()[:, 0]
    grace = (distance[near] / math.log(10.0)).ceil().clamp(max=cfg.max_grace).long()
    root = state.map(lambda tensor: tensor[near, :1] if tensor.ndim == 3 else tensor[near])
    return Pool(row[near], root, grace, masked=True)


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
    """Return a pool as one table: row, grace, loss mask, root pose and twist, joints."""
    state, facts = pool.state, (pool.row, pool.grace, torch.full_like(pool.grace, int(pool.masked)))
    root = (state.root_pos_w, state.root_quat_w, state.root_lin_vel_w, state.root_ang_vel_w)
    # float32 holds whole numbers up to 2^24: 93 hours of frames
    return torch.cat((torch.stack(facts, -1).float(), *root, state.joint_pos, state.joint_vel), dim=-1)


def drop(sim: Simulator, limits: Tensor, generator: torch.Generator) -> BodyState:
    """Drop every body limp from a random pose; return those at rest, all bodies, velocities as they are.

    The servos follow the joints, so that they only damp. The simulator is left as it lies.

    Args:
        sim: where they fall.
        limits: (D, 2) joint limits [rad].
        generator: of the simulator's device.
    """
    count, joints = sim.num_envs, len(limits)
    middle, half = limits.mean(-1), 0.5 * (limits[:, 1] - limits[:, 0])
    low, high = DROP_HEIGHT
    joint_pos = middle + DROP_BEND * half * events.uniform((count, joints), generator)
    zero = torch.zeros(count, 3, device=sim.device)
    # four normal numbers, normalised, are a rotation drawn uniformly
    turn = rot.normalize(torch.randn(count, 4, generator=generator, device=sim.device))
    kinematics = Kinematics(sim.body, sim.device)
    lowest = kinematics.clearance(*kinematics.poses(zero, turn, joint_pos)).amin(-1)
    lift = low + (high - low) * torch.rand(count, generator=generator, device=sim.device)
    root = torch.stack((zero[:, 0], zero[:, 1], lift - lowest), dim=-1)
    start = BodyState(
        joint_pos=joint_pos,
        joint_vel=torch.zeros(count, joints, device=sim.device),
        body_pos_w=root[:, None],
        body_quat_w=turn[:, None],
        body_lin_vel_w=zero[:, None],
        body_ang_vel_w=zero[:, None],
    )
    sim.reset(torch.ones(count, dtype=torch.bool, device=sim.device), start)
    for _ in range(round(DROP_SECONDS / sim.dt)):
        sim.set_targets(sim.state().joint_pos)
        sim.step()
    state = sim.state()
    rest = state.root_lin_vel_w.norm(dim=-1) < REST_SPEED  # false where it is not a number
    return state[rest & state.joint_pos.isfinite().all(-1)]
