"""The gradient of a weighted sum of costs in numpy, as :mod:`humanoid.planning.guidance`. No torch."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence

import numpy as np

from humanoid.core.errors import ConfigError, nearest
from humanoid.export.costs import Cost
from humanoid.export.tokens import Frame, TokenLayout

_log = logging.getLogger(__name__)


class Guidance:
    """A weighted sum of costs.

    Where a cost or its gradient is not finite, that cost is dropped for that plan and step;
    all others go on.

    Attributes:
        costs: the functions, each with a name of its own.
        weights: of each, by name.
        dropped: name -> plans for which it was dropped in some step, so far.
    """

    def __init__(self, costs: Sequence[Cost], weights: Mapping[str, float] | None = None) -> None:
        """Put costs together.

        Args:
            costs: at least one.
            weights: by name, 1 for those left out.

        Raises:
            ConfigError: no cost, two of one name, or weights that do not fit.
        """
        names, weights = [cost.name for cost in costs], weights or {}
        if not names or len(set(names)) != len(names):
            raise ConfigError(
                f"guidance: costs named {names}; give at least one, each with a name of its own"
            )
        for name, weight in weights.items():
            if name not in names:
                raise ConfigError(f"guidance: a weight for '{name}', which is no cost{nearest(name, names)}")
            if not 0.0 <= weight < math.inf:
                raise ConfigError(f"guidance: weight {weight:g} of '{name}'; give a finite number, 0 or more")
        self.costs = tuple(costs)
        self.weights = {name: float(weights.get(name, 1.0)) for name in names}
        self.dropped = dict.fromkeys(names, 0)
        self._unsound: dict[str, np.ndarray] = {}

    def gradient(
        self, layout: TokenLayout, tokens: np.ndarray, frame: Frame
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the gradient of the weighted sum, and each cost without its weight.

        Args:
            layout: where numbers stand in a token.
            tokens: (B, T, S) predicted clean state tokens.
            frame: heading frame of now.

        Returns:
            Gradient (B, T, S), zero up to now, and costs (B,) by name, not finite where dropped.

        Raises:
            InputError: a parameter for another number of plans or bodies.
        """
        total, values = np.zeros_like(tokens), {}
        trajectory = layout.decode(tokens, frame)
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is dropped
            for cost in self.costs:
                values[cost.name], slopes = cost(trajectory)
                slope = layout.gradient(trajectory, slopes)
                sound = np.isfinite(values[cost.name]) & np.isfinite(slope).all(axis=(1, 2))
                total += self.weights[cost.name] * np.where(sound[:, None, None], slope, 0.0)
                self._note(cost.name, ~sound)
        return total, values

    def end_plan(self) -> None:
        """Close a plan: count and log which costs were dropped in it. To be called after its last step."""
        for name, plans in self._unsound.items():
            count = int(plans.sum())
            self.dropped[name] += count
            if count:
                _log.warning(
                    "guidance: cost '%s' is not finite and was dropped for %d of %d plans",
                    name,
                    count,
                    len(plans),
                )
        self._unsound = {}

    def _note(self, name: str, plans: np.ndarray) -> None:
        """Remember (B,) which plans went without a cost; a plan that was broken off is closed."""
        known = self._unsound.get(name)
        if known is not None and known.shape != plans.shape:
            self.end_plan()
            known = None
        self._unsound[name] = plans if known is None else known | plans
