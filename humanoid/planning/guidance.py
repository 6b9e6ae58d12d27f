"""Guidance: the gradient of costs at a predicted clean plan.

BeyondMimic adds ``-grad G(x0)`` of the sum of all costs to the score in each denoising step
(arXiv 2508.08241, guidance). The gradient is taken with respect to the predicted clean
tokens, through their meaning in the world, not through the network that predicted them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from humanoid.core.errors import ConfigError, nearest
from humanoid.diffusion.trajectory import DECODED, Frame, Layout
from humanoid.planning.costs import WEIGHTS, Cost, Steer

DETOUR_OBSTACLE_WEIGHT = 0.3
"""Weight of obstacles round which a path field leads: at full weight they turn bodies off the path."""

_log = logging.getLogger(__name__)


class Guidance:
    """A weighted sum of costs.

    Where a cost or its gradient is not finite, that cost is dropped for that plan and step;
    all others go on.

    Attributes:
        costs: the functions, each with a name of its own.
        weights: of each, by name.
    """

    def __init__(
        self, costs: Sequence[Cost], weights: Mapping[str, float] | Sequence[float] | None = None
    ) -> None:
        """Put costs together.

        Args:
            costs: at least one.
            weights: one for each, in their order, or by name with 1 for those left out.

        Raises:
            ConfigError: no cost, two of one name, or weights that do not fit.
        """
        names = [cost.name for cost in costs]
        if not names:
            raise ConfigError("guidance: no cost given; give at least one, or plan without guidance")
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"guidance: two costs are named '{name}'; give each a name of its own")
        self.costs = tuple(costs)
        self.weights = _weights(names, weights)
        self._counts = dict.fromkeys(names, 0)
        self._unreported: dict[str, Tensor] = {}

    def gradient(self, layout: Layout, tokens: Tensor, frame: Frame) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the gradient of the weighted sum, and each cost without its weight.

        Works inside ``no_grad`` and ``inference_mode`` too.

        Args:
            layout: where numbers stand in a token.
            tokens: (B, T, S) predicted clean state tokens.
            frame: heading frame of now, leading axis B.

        Returns:
            Gradient (B, T, S), zero up to now, and costs (B,) by name, not finite where dropped.

        Raises:
            InputError: a parameter for another number of plans.
        """
        total, values, sound = gradient_of(self.costs, self.weights, layout, tokens, frame)
        for name, rows in sound.items():
            self._note(name, ~rows)
        return total, values

    @property
    def dropped(self) -> dict[str, int]:
        """Plans for which each cost was dropped in some step, so far."""
        waiting = {name: int(rows.sum()) for name, rows in self._unreported.items()}
        return {name: count + waiting.get(name, 0) for name, count in self._counts.items()}

    def end_plan(self) -> None:
        """Close a plan: log which costs were dropped in it. To be called after its last step."""
        for name, rows in self._unreported.items():
            count = int(rows.sum())
            self._counts[name] += count
            if count:
                _log.warning(
                    "guidance: cost '%s' is not finite and was dropped for %d of %d plans",
                    name,
                    count,
                    len(rows),
                )
        self._unreported = {}

    def _note(self, name: str, rows: Tensor) -> None:
        """Remember (B,) which plans went without a cost; nothing is read from the device."""
        known = self._unreported.get(name)
        if known is not None and known.shape != rows.shape:
            self.end_plan()
            known = None
        self._unreported[name] = rows if known is None else known | rows


def gradient_of(
    costs: Sequence[Cost], weights: Mapping[str, float | Tensor], layout: Layout, tokens: Tensor, frame: Frame
) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """Return the gradient of a weighted sum of costs, a pure function of tensors that can be traced.

    Args:
        costs: each with another name.
        weights: of each, by name.
        layout: where numbers stand in a token.
        tokens: (B, T, S) predicted clean state tokens.
        frame: heading frame of now, leading axis B.

    Returns:
        Gradient (B, T, S), each cost (B,) without its weight, and (B,) bool whether it is finite and in it.
    """
    with torch.inference_mode(False), torch.enable_grad():
        # tensors made in inference mode cannot enter a graph; copies can
        variable = tokens.detach().clone().requires_grad_()
        decoded = layout.decode(variable, Frame(frame.pos_w.clone(), frame.yaw.clone()))
        # costs are differentiated by the world's quantities, and their sum once by the tokens
        leaves = {name: getattr(decoded, name).detach().requires_grad_() for name in DECODED}
        trajectory = replace(decoded, **leaves)
        total: dict[str, Tensor] = {}
        values, sound = {}, {}
        for cost in costs:
            value = cost(trajectory)
            found = torch.autograd.grad(value.sum(), list(leaves.values()), allow_unused=True)
            slopes = {name: slope for name, slope in zip(DECODED, found, strict=True) if slope is not None}
            values[cost.name] = value.detach()
            zero = 0.0 * value.detach()  # nan unless all are finite; few nodes of a graph
            for slope in slopes.values():
                zero = zero + (0.0 * slope).flatten(1).sum(1)
            sound[cost.name] = finite = zero == 0.0
            for name, slope in slopes.items():
                kept = slope.masked_fill(~finite.view(-1, *(1,) * (slope.ndim - 1)), 0.0)
                part = weights[cost.name] * kept
                total[name] = total[name] + part if name in total else part
        (gradient,) = torch.autograd.grad(
            [getattr(decoded, name) for name in total], variable, list(total.values())
        )
        whole = gradient.isfinite().flatten(1).all(1)
    gradient = gradient.masked_fill(~whole[:, None, None], 0.0)
    return gradient, values, {name: finite & whole for name, finite in sound.items()}


def weighted(costs: Sequence[Cost], chosen: Mapping[str, float]) -> Guidance:
    """Return costs with :data:`WEIGHTS`, or the weights that are ``chosen`` for some by name."""
    weights = {**WEIGHTS, **chosen}
    if any(isinstance(cost, Steer) and cost.path is not None for cost in costs):
        weights["obstacles"] = chosen.get("obstacles", DETOUR_OBSTACLE_WEIGHT)
    return Guidance(costs, {cost.name: weights.get(cost.name, 1.0) for cost in costs})


def _weights(names: list[str], weights: Mapping[str, float] | Sequence[float] | None) -> dict[str, float]:
    """Return a weight for every name."""
    if isinstance(weights, Mapping):
        for name in weights:
            if name not in names:
                raise ConfigError(f"guidance: a weight for '{name}', which is no cost{nearest(name, names)}")
        by_name = {name: float(weights.get(name, 1.0)) for name in names}
    else:
        given = [1.0] * len(names) if weights is None else [float(weight) for weight in weights]
        if len(given) != len(names):
            raise ConfigError(
                f"guidance: {len(given)} weights for {len(names)} costs; give one each: {', '.join(names)}"
            )
        by_name = dict(zip(names, given, strict=True))
    for name, weight in by_name.items():
        if not (math.isfinite(weight) and weight >= 0.0):
            raise ConfigError(f"guidance: weight {weight:g} of '{name}'; give a finite number, 0 or more")
    return by_name
