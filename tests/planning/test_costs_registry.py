"""A cost from outside the package: registered, weighted by name, part of a plan."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from humanoid.control import CommandCosts, LoopCfg
from humanoid.core import ConfigError
from humanoid.diffusion import Trajectory
from humanoid.planning import costs, weighted
from tests.planning.plans import LAYOUT, decoded, random_tokens


@dataclass(frozen=True)
class Altitude:
    """Keep the root at a height [m]."""

    height: float
    name: str = "altitude"

    def __call__(self, trajectory: Trajectory) -> Tensor:
        """Return costs (B,) [m^2]."""
        return 0.5 * (trajectory.root_pos_w[:, trajectory.future, 2] - self.height).square().sum(1)


@pytest.fixture(autouse=True)
def registered() -> None:
    costs.register("altitude", Altitude, weight=0.5)


def test_a_registered_cost_is_known_by_name_and_class() -> None:
    assert costs.Altitude is Altitude and costs.WEIGHTS["altitude"] == 0.5
    assert LoopCfg(weights={"altitude": 2.0}).weights == {"altitude": 2.0}
    with pytest.raises(ConfigError, match="altitud"):
        LoopCfg(weights={"altitud": 2.0})
    with pytest.raises(ConfigError, match="altitude"):
        costs.register("altitude", costs.Joystick)
    with pytest.raises(AttributeError, match="Latitude"):
        costs.Latitude  # noqa: B018


def test_it_guides_plans_beside_others_with_its_weight() -> None:
    joystick, altitude = costs.Joystick(velocity=(0.8, 0.0)), Altitude(1.1)
    tokens = random_tokens()
    trajectory = decoded(tokens)
    frame = trajectory.frame
    both, values = weighted([joystick, altitude], {}).gradient(LAYOUT, tokens, frame)
    alone, _ = weighted([joystick], {}).gradient(LAYOUT, tokens, frame)
    difference = both - alone
    future = trajectory.future
    expected = 0.5 * (trajectory.root_pos_w[:, future, 2] - 1.1)
    torch.testing.assert_close(difference[:, future, 2], expected)
    torch.testing.assert_close(values["altitude"], altitude(trajectory))


def test_it_may_be_given_beside_commands(body: object) -> None:
    translate = CommandCosts(LAYOUT, body)  # type: ignore[arg-type]
    found, _ = translate([altitude := Altitude(1.0)], torch.zeros(1, 2))
    assert found == [altitude]
