"""What travels beside exported skills and denoisers, as text. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from humanoid.export.metadata import fingerprint
from humanoid.export.texts import Metadata
from humanoid.export.tokens import TokenLayout

if TYPE_CHECKING:  # reading needs no torch
    from humanoid.nn.checkpoint import Header


@dataclass(frozen=True, kw_only=True, eq=False)
class SkillsMetadata(Metadata):
    """Everything that a controller needs besides decoder and prior.

    Attributes:
        run_path: where the skills come from.
        joint_names: D joints, the order of actions and of every joint quantity.
        joint_stiffness: (D,) [N m/rad] of the servos.
        joint_damping: (D,) [N m s/rad] of the servos.
        default_joint_pos: (D,) [rad] that ``joint_pos`` is measured from and actions are added to.
        action_scale: (D,) [rad] that an action of 1 asks for.
        observation_names: terms of proprioception in the order of its columns: velocities
            and the direction of gravity in the frame of the root, joints, the action before.
        observation_widths: columns of each term.
        kind: ``latent``.
        body: short name of the embodiment.
        body_fingerprint: of the embodiment.
        control_dt: [s] between two actions.
        latent_width: numbers Z of a latent.
        latent_hold: control steps that a latent is held for.
        latent_digest: of their checkpoint; that of a denoiser whose latents they take is the same.
    """

    KIND: ClassVar[str] = "latent"
    LENGTHS: ClassVar[dict[str, str]] = {
        "joint_stiffness": "joint_names",
        "joint_damping": "joint_names",
        "default_joint_pos": "joint_names",
        "action_scale": "joint_names",
        "observation_widths": "observation_names",
    }

    run_path: str
    joint_names: tuple[str, ...]
    joint_stiffness: np.ndarray
    joint_damping: np.ndarray
    default_joint_pos: np.ndarray
    action_scale: np.ndarray
    observation_names: tuple[str, ...]
    observation_widths: tuple[int, ...]
    kind: str
    body: str
    body_fingerprint: str
    control_dt: float
    latent_width: int
    latent_hold: int
    latent_digest: str


@dataclass(frozen=True, kw_only=True, eq=False)
class DenoiserMetadata(Metadata):
    """Everything that a planner needs besides the network.

    In *model space* a state token (S,) is ``projection @ ((token - state_mean) / state_std)``
    and a latent is ``(latent - latent_mean) / latent_std``.

    Attributes:
        run_path: where the denoiser comes from.
        kind: ``diffusion``.
        body: short name of the embodiment.
        body_fingerprint: of the embodiment.
        latent_digest: of the skills' checkpoint that the latents belong to.
        root_body_name: body of the first 15 numbers of a state token.
        body_names: K bodies of the others.
        body_radius: (1 + K,) [m] of the root and the others, for obstacles.
        state_names: every number of a state token.
        state_mean: (S,) in the units of the token.
        state_std: (S,) in the units of the token.
        latent_mean: (Z,)
        latent_std: (Z,)
        model_width: numbers P of a state in model space.
        projection: (P * S,) row by row.
        history: frames N before now.
        horizon: frames H after now that states are planned for.
        latent_horizon: frames A from now on that latents are planned for.
        frame_dt: [s] between two frames, that a latent is held for.
        alpha_bar: (K + 1,) share of the variance that is signal at every noise level, 0 being clean.
    """

    KIND: ClassVar[str] = "diffusion"
    LENGTHS: ClassVar[dict[str, str]] = {
        "state_mean": "state_names",
        "state_std": "state_names",
        "latent_std": "latent_mean",
    }

    run_path: str
    kind: str
    body: str
    body_fingerprint: str
    latent_digest: str
    root_body_name: str
    body_names: tuple[str, ...]
    body_radius: np.ndarray
    state_names: tuple[str, ...]
    state_mean: np.ndarray
    state_std: np.ndarray
    latent_mean: np.ndarray
    latent_std: np.ndarray
    model_width: int
    projection: np.ndarray
    history: int
    horizon: int
    latent_horizon: int
    frame_dt: float
    alpha_bar: np.ndarray

    @property
    def layout(self) -> TokenLayout:
        """Where everything stands in a token."""
        return TokenLayout(
            root=self.root_body_name,
            bodies=self.body_names,
            history=self.history,
            horizon=self.horizon,
            latent_horizon=self.latent_horizon,
            dt=self.frame_dt,
        )


def of_skills(
    header: Header, run_path: str, digest: str, terms: Sequence[str], width: int, hold: int
) -> SkillsMetadata:
    """Return the metadata of decoder and prior.

    Args:
        header: of their checkpoint.
        run_path: where they come from.
        digest: of their checkpoint.
        terms: of the observation, those of proprioception in order.
        width: numbers of a latent.
        hold: control steps that a latent is held for.
    """
    body = header.body
    widths = dict(header.observation)
    return SkillsMetadata(
        run_path=run_path,
        joint_names=tuple(body["joint_names"]),
        joint_stiffness=np.array(body["kp"]),
        joint_damping=np.array(body["kd"]),
        default_joint_pos=np.array(body["default_joint_pos"]),
        action_scale=np.array(body["action_scale"]),
        observation_names=tuple(terms),
        observation_widths=tuple(widths[name] for name in terms),
        kind=SkillsMetadata.KIND,
        body=str(body["name"]),
        body_fingerprint=fingerprint(body),
        control_dt=header.control_dt,
        latent_width=width,
        latent_hold=hold,
        latent_digest=digest,
    )


def of_denoiser(
    header: Header, run_path: str, layout: TokenLayout, numbers: Mapping[str, np.ndarray]
) -> DenoiserMetadata:
    """Return the metadata of a denoiser.

    Args:
        header: of its checkpoint.
        run_path: where it comes from.
        layout: of its tokens.
        numbers: ``body_radius``, ``state_mean``, ``state_std``, ``latent_mean``, ``latent_std``,
            ``alpha_bar`` and ``projection`` (P, S).
    """
    body = header.body
    return DenoiserMetadata(
        run_path=run_path,
        kind=DenoiserMetadata.KIND,
        body=str(body["name"]),
        body_fingerprint=fingerprint(body),
        latent_digest=header.parent,
        root_body_name=layout.root,
        body_names=layout.bodies,
        body_radius=numbers["body_radius"],
        state_names=layout.names(),
        state_mean=numbers["state_mean"],
        state_std=numbers["state_std"],
        latent_mean=numbers["latent_mean"],
        latent_std=numbers["latent_std"],
        model_width=len(numbers["projection"]),
        projection=numbers["projection"].ravel(),
        history=layout.history,
        horizon=layout.horizon,
        latent_horizon=layout.latent_horizon,
        frame_dt=layout.dt,
        alpha_bar=numbers["alpha_bar"],
    )
