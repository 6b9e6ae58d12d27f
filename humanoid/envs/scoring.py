"""From errors to the reward: terms, weights, groups, and what is logged of them."""

from __future__ import annotations

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.envs import rewards
from humanoid.envs.body import BodyTensors
from humanoid.envs.rewards import RewardCfg


class Scorer:
    """Weighs the terms of :mod:`humanoid.envs.rewards` into one reward a group.

    Attributes:
        groups: names of the G groups.
        best: reward of a step that tracks perfectly.
        needs_contacts: whether contact forces must be given.
    """

    def __init__(self, cfg: RewardCfg, parts: BodyTensors, dt: float) -> None:
        """Lay out the weights (terms, G) per control period ``dt`` [s]."""
        self.cfg, self._parts = cfg, parts
        self._low, self._high = parts.soft_limits(cfg.soft_limit)
        self.needs_contacts = cfg.weight.get("undesired_contact", 0.0) != 0.0
        names = [*cfg.sigma, "action_rate", "joint_limit"] + ["undesired_contact"] * self.needs_contacts
        groups = cfg.groups or {"all": tuple(cfg.weight)}
        table = [[cfg.weight[name] * dt * (name in group) for group in groups.values()] for name in names]
        self._weights = torch.tensor(table, device=parts.default.device)
        self.groups = tuple(groups)
        self.best = dt * sum(cfg.weight[name] for name in cfg.sigma)

    def __call__(
        self,
        state: BodyState,
        errors: rewards.TrackingErrors,
        action: Tensor,
        last_action: Tensor,
        good: Tensor,
        force_w: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the reward of each group (B, G) and means of terms and errors for the log.

        Args:
            state: after the step, leading axis B.
            errors: of it, against the reference of the same instant.
            action: (B, D).
            last_action: (B, D).
            good: (B,) bool; elsewhere all is 0.
            force_w: (B, N, 3) [N] contact forces, where they count.
        """
        tracking = rewards.tracking_rewards(errors, self.cfg)
        terms = {name: tracking[name] for name in self.cfg.sigma}
        terms["action_rate"] = rewards.action_rate(action, last_action)
        terms["joint_limit"] = rewards.joint_limit(state.joint_pos, self._low, self._high)
        if self.needs_contacts and force_w is not None:
            threshold = self.cfg.contact_force
            terms["undesired_contact"] = rewards.undesired_contact(force_w, self._parts.not_feet, threshold)
        every = torch.stack((*terms.values(), *errors.squared.values()))
        every = torch.where(good, every, 0.0)
        means = every.mean(-1)
        log = dict(zip((f"reward/{name}" for name in terms), means, strict=False))
        roots = means[len(terms) :].sqrt()
        log |= dict(zip((f"error/{name}" for name in errors.squared), roots, strict=True))
        return every[: len(terms)].T @ self._weights, log


def mask_joined(groups: Tensor, masked: Tensor) -> Tensor:
    """Give masked environments (B,) what the others earn on average in each group (B, G)."""
    others = (~masked).unsqueeze(-1).float()
    mean = (groups * others).sum(0) / others.sum(0).clamp_min(1.0)
    return torch.where(masked.unsqueeze(-1), mean, groups)
