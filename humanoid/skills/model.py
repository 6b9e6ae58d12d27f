"""The latent skill model: encoder, learned prior, decoder (PULSE, arXiv 2310.04582).

The encoder sees the reference and says which skill ``z`` performs it; the decoder turns
``z`` into servo targets and never sees the reference; the prior says which skills make
sense in a state. All three see the same proprioception, which needs no place in the world.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from humanoid.bodies.state import BodyState
from humanoid.core.constraints import Checked, Count
from humanoid.nn.mlp import mlp
from humanoid.spatial import frames
from humanoid.spatial import rotation as rot

PROPRIOCEPTION = ("root_lin_vel_b", "root_ang_vel_b", "gravity_b", "joint_pos", "joint_vel", "last_action")
"""Terms that encoder, prior and decoder see (BeyondMimic, arXiv 2508.08241 v4, Table S6)."""
REFERENCE = ("joint_pos_ref", "joint_vel_ref", "anchor_pos_b", "anchor_rot_b")
"""Terms that only the encoder sees."""
LOG_VAR = (-5.0, 2.0)
"""Bounds of log-variances (PULSE)."""
_STD_FLOOR = 1e-2
_FAR = 10.0
"""Standard deviations beyond which nothing more is seen: a fall must not blow the networks up."""


@dataclass(frozen=True, kw_only=True)
class LatentCfg(Checked):
    """Sizes of the model."""

    width: Count = 32
    """Numbers Z of a latent."""
    encoder_hidden: tuple[Count, ...] = (1024, 512)
    prior_hidden: tuple[Count, ...] = (1024, 512)
    decoder_hidden: tuple[Count, ...] = (1024, 512)
    hold: Count = 2
    """Control steps that a latent is held for: 25 Hz at a control rate of 50 Hz."""


class LatentModel(nn.Module):
    """Encoder, prior and decoder with the normalisation of what they see."""

    ref_mean: Tensor
    ref_std: Tensor
    prop_mean: Tensor
    prop_std: Tensor

    def __init__(self, cfg: LatentCfg, reference: int, proprioception: int, actions: int) -> None:
        """Build untrained networks.

        Args:
            cfg: sizes.
            reference: width of the reference's terms.
            proprioception: width P of proprioception.
            actions: number D of joints.
        """
        super().__init__()
        self.cfg = cfg
        self.encoder = mlp(reference + proprioception, cfg.encoder_hidden, 2 * cfg.width)
        self.prior_net = mlp(proprioception, cfg.prior_hidden, 2 * cfg.width)
        self.decoder = mlp(proprioception + cfg.width, cfg.decoder_hidden, actions)
        for name, width in (("ref", reference), ("prop", proprioception)):
            self.register_buffer(f"{name}_mean", torch.zeros(width))
            self.register_buffer(f"{name}_std", torch.ones(width))

    def fit_normalizer(self, reference: Tensor, proprioception: Tensor) -> None:
        """Take means and standard deviations of (..., R) and (..., P) as those to expect."""
        for name, values in (("ref", reference), ("prop", proprioception)):
            flat = values.flatten(0, -2)
            getattr(self, f"{name}_mean").copy_(flat.mean(0))
            getattr(self, f"{name}_std").copy_(flat.std(0).clamp_min(_STD_FLOOR))

    def encode(self, reference: Tensor, proprioception: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance (..., Z) of the skill that follows the reference (..., R)."""
        ref = ((reference - self.ref_mean) / self.ref_std).clamp(-_FAR, _FAR)
        return _gaussian(self.encoder(torch.cat((ref, self._normal(proprioception)), dim=-1)))

    def prior(self, proprioception: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance (..., Z) of the skills that make sense here."""
        return _gaussian(self.prior_net(self._normal(proprioception)))

    def decode(self, proprioception: Tensor, latent: Tensor) -> Tensor:
        """Return actions (..., D) about the default pose for latents (..., Z)."""
        return self.decoder(torch.cat((self._normal(proprioception), latent), dim=-1))

    def _normal(self, proprioception: Tensor) -> Tensor:
        return ((proprioception - self.prop_mean) / self.prop_std).clamp(-_FAR, _FAR)


def proprioception(state: BodyState, last_action: Tensor, default_joint_pos: Tensor) -> Tensor:
    """Return what a body knows of itself, (B, P), in the order of :data:`PROPRIOCEPTION`.

    Args:
        state: leading axis B.
        last_action: (B, D) of the decoder.
        default_joint_pos: (D,) [rad].
    """
    quat = state.root_quat_w
    return torch.cat(
        (
            rot.rotate_inverse(quat, state.root_lin_vel_w),
            rot.rotate_inverse(quat, state.root_ang_vel_w),
            frames.projected_gravity(quat),
            state.joint_pos - default_joint_pos,
            state.joint_vel,
            last_action,
        ),
        dim=-1,
    )


def divergence(q: tuple[Tensor, Tensor], p: tuple[Tensor, Tensor]) -> Tensor:
    """Return KL(q || p) (...,) [nats] of diagonal Gaussians given as mean and log-variance (..., Z)."""
    (q_mean, q_log), (p_mean, p_log) = q, p
    terms = p_log - q_log - 1.0 + (q_log - p_log).exp() + (q_mean - p_mean).square() * (-p_log).exp()
    return 0.5 * terms.sum(-1)


def draw(gaussian: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
    """Return a sample (..., Z) of mean and log-variance (..., Z); differentiable."""
    mean, log_var = gaussian
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    return mean + (0.5 * log_var).exp() * noise


def _gaussian(output: Tensor) -> tuple[Tensor, Tensor]:
    mean, log_var = output.chunk(2, dim=-1)
    return mean, log_var.clamp(*LOG_VAR)
