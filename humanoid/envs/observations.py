"""What the actor and the critic see: pure functions of states.

Terms, order and noise follow BeyondMimic (arXiv 2508.08241, section S1; reference of
:class:`ObservationCfg`). Added: projected gravity, and references further ahead. The layouts
``beyondmimic`` and ``beyondmimic_blind`` are BeyondMimic's own, number by number: what a
controller written for its policies feeds to one of ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.core.constraints import Checked, Natural, NonNegative, NotEmpty
from humanoid.core.errors import ConfigError
from humanoid.spatial import BodySelector, frames
from humanoid.spatial import rotation as rot

Layout = Literal["ours", "beyondmimic", "beyondmimic_blind"]
"""Which terms the actor sees, in what order, and how rotations are written."""
TERMS = (
    "joint_pos_ref", "joint_vel_ref", "anchor_pos_b", "anchor_rot_b", "root_lin_vel_b", "root_ang_vel_b",
    "gravity_b", "joint_pos", "joint_vel", "last_action",
)  # fmt: skip
"""Every term that a layout may have; what noise may be given for."""
PUBLISHED = {
    "joint_pos_ref": "command",
    "joint_vel_ref": "command",
    "anchor_pos_b": "motion_anchor_pos_b",
    "anchor_rot_b": "motion_anchor_ori_b",
    "root_lin_vel_b": "base_lin_vel",
    "root_ang_vel_b": "base_ang_vel",
    "joint_pos": "joint_pos",
    "joint_vel": "joint_vel",
    "last_action": "actions",
}
"""Terms of BeyondMimic's layout in its order -> its names for them; neighbours of one name are one term."""
_ESTIMATED = ("anchor_pos_b", "root_lin_vel_b")
"""What a robot knows only from state estimation (BeyondMimic's ``WoStateEstimation`` drops it)."""


@dataclass(frozen=True, kw_only=True)
class ObservationCfg(Checked):
    """Observation terms and their noise."""

    layout: Layout = "ours"
    """``beyondmimic``: its terms, names and order (160 numbers on G1); ``beyondmimic_blind``: those that
    need no state estimation (154). Their rotations are two columns of the matrix, row after row."""
    future_steps: Annotated[tuple[Natural, ...], NotEmpty] = (1,)
    """Control steps ahead at which the reference is shown."""
    history_steps: Natural = 0
    """Last frames of proprioception that the actor sees (SkillMimic-V2: 60); 0 for none."""
    noise: dict[str, NonNegative] = field(
        default_factory=lambda: {
            "anchor_pos_b": 0.25,
            "anchor_rot_b": 0.05,
            "root_lin_vel_b": 0.5,
            "root_ang_vel_b": 0.2,
            "gravity_b": 0.05,
            "joint_pos": 0.01,
            "joint_vel": 0.5,
            "history": 0.05,
        }
    )
    """Half-width of uniform noise on the actor's terms, 0 where a term is not named. Terms that the
    layout leaves out may be named."""
    noise_scale: NonNegative = 1.0
    """Factor on all of ``noise``; 0 switches it off."""

    def __post_init__(self) -> None:
        """Check the fields; a published layout shows one reference frame."""
        super().__post_init__()
        if self.layout != "ours" and tuple(self.future_steps) != (1,):
            raise ConfigError(
                f"observation.future_steps is {list(self.future_steps)}; layout '{self.layout}' shows the "
                "next frame only: [1]"
            )

    @property
    def noise_widths(self) -> dict[str, float]:
        """``noise`` times ``noise_scale``."""
        return {name: self.noise_scale * width for name, width in self.noise.items()}


def actor_terms(
    state: BodyState,
    ahead: BodyState,
    last_action: Tensor,
    default_joint_pos: Tensor,
    anchor: int,
    form: Layout = "ours",
) -> dict[str, Tensor]:
    """Return the actor's terms without noise, each (B, width), those of state estimation included.

    Args:
        state: current state, leading axis B.
        ahead: references ahead, leading axes (B, S); all bodies or the anchor alone.
        last_action: (B, D).
        default_joint_pos: (D,) or (B, D) [rad].
        anchor: index of the anchor body.
        form: whose terms, order and rotations.
    """
    root_quat = state.root_quat_w
    anchor_pos, anchor_quat = state.body_pos_w[:, anchor, None], state.body_quat_w[:, anchor, None]
    there = anchor if ahead.body_pos_w.shape[2] > 1 else 0
    pos_b, quat_b = frames.relative_pose(
        anchor_pos, anchor_quat, ahead.body_pos_w[:, :, there], ahead.body_quat_w[:, :, there]
    )
    terms = {
        "joint_pos_ref": ahead.joint_pos.flatten(1),
        "joint_vel_ref": ahead.joint_vel.flatten(1),
        "anchor_pos_b": pos_b.flatten(1),
        "anchor_rot_b": _six(quat_b, form).flatten(1),
        "root_lin_vel_b": rot.rotate_inverse(root_quat, state.root_lin_vel_w),
        "root_ang_vel_b": rot.rotate_inverse(root_quat, state.root_ang_vel_w),
        "gravity_b": frames.projected_gravity(root_quat),
        "joint_pos": state.joint_pos - default_joint_pos,
        "joint_vel": state.joint_vel,
        "last_action": last_action,
    }
    return terms if form == "ours" else {name: terms[name] for name in PUBLISHED}


def seen(terms: dict[str, Tensor], form: Layout) -> dict[str, Tensor]:
    """Return the terms that the actor sees; a blind one's critic still has all of them."""
    if form != "beyondmimic_blind":
        return terms
    return {name: term for name, term in terms.items() if name not in _ESTIMATED}


def critic_terms(
    state: BodyState, anchor: int, bodies: Tensor | BodySelector, form: Layout = "ours"
) -> dict[str, Tensor]:
    """Return what only the critic sees: all tracked bodies in the anchor frame.

    Args:
        state: current state, leading axis B.
        anchor: index of the anchor body.
        bodies: (K,) indices of the tracked bodies, or what picks them.
        form: whose way to write rotations.
    """
    pick = bodies if isinstance(bodies, BodySelector) else BodySelector(bodies)
    pos, quat = pick(state.body_pos_w), pick(state.body_quat_w)
    anchor_pos, anchor_quat = state.body_pos_w[:, anchor, None], state.body_quat_w[:, anchor, None]
    pos_b, quat_b = frames.relative_pose(anchor_pos, anchor_quat, pos, quat)
    return {"body_pos_b": pos_b.flatten(1), "body_rot_b": _six(quat_b, form).flatten(1)}


def noisy_width(terms: dict[str, Tensor], noise: dict[str, float]) -> int:
    """Return how many numbers have noise."""
    return sum(terms[name].shape[-1] for name, width in noise.items() if width > 0.0 and name in terms)


def noised(terms: dict[str, Tensor], noise: dict[str, float], draw: Tensor) -> dict[str, Tensor]:
    """Return the terms with uniform noise of the given half-widths added; no term, no noise.

    Args:
        terms: name -> (B, width).
        noise: name -> half-width.
        draw: (B, noisy_width) uniform in 0-1: one for all terms, for every operation costs a GPU
            the same, however little it does.
    """
    noisy, at = dict(terms), 0
    for name, width in noise.items():
        if width > 0.0 and name in terms:
            size = terms[name].shape[-1]
            noisy[name] = terms[name] + (2.0 * draw[:, at : at + size] - 1.0) * width
            at += size
    return noisy


def layout(terms: dict[str, Tensor], form: Layout = "ours") -> list[tuple[str, int]]:
    """Return names and widths of what the actor sees, in the order of its columns.

    Args:
        terms: of :func:`actor_terms`.
        form: whose names; BeyondMimic's are those of the metadata beside its policies.
    """
    columns: list[tuple[str, int]] = []
    for name, term in seen(terms, form).items():
        label, width = name if form == "ours" else PUBLISHED.get(name, name), term.shape[-1]
        if columns and columns[-1][0] == label:
            width += columns.pop()[1]
        columns.append((label, width))
    return columns


def _six(quat: Tensor, form: Layout) -> Tensor:
    """Return two columns of the matrices of ``quat (..., 4)``: (..., 6), in the order of ``form``.

    Ours goes down one column and then the other, BeyondMimic's along the rows:
    ``r00, r01, r10, r11, r20, r21``.
    """
    six = rot.to_6d(quat)
    return six if form == "ours" else six.unflatten(-1, (2, 3)).transpose(-1, -2).flatten(-2)
