"""Latent controller: which latent is held when, and the window that a planner gets."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from humanoid.bodies import BodyState
from humanoid.control import LatentController
from humanoid.core import MismatchError
from humanoid.diffusion import Frame, Layout, TrajectoryCfg
from humanoid.planning import Plan
from humanoid.sim import SimCfg, Simulator, make_sim
from humanoid.skills import Skills, TeacherMotions

ROWS = torch.tensor([[0, 2, 4, 6, 8], [20, 22, 24, 26, 28]])


@pytest.fixture(scope="module")
def sim(skills: Skills) -> Simulator:
    return make_sim(SimCfg(threads=1), skills.body, 2, 0)


class Loop:
    """A controller and a simulator."""

    def __init__(self, sim: Simulator, skills: Skills) -> None:
        """Join them."""
        self.sim, self.controller = sim, LatentController(skills, Layout.of(skills.body), 2)

    def start(self, history: BodyState, mask: Tensor | None = None) -> None:
        """Put bodies where histories end."""
        chosen = torch.ones(2, dtype=torch.bool) if mask is None else mask
        self.sim.reset(chosen, history[:, -1])
        self.controller.reset(mask, history)
        self.controller.observe(self.sim.state())

    def step(self) -> None:
        """Advance one control step."""
        self.sim.set_targets(self.controller.act(self.sim.state()))
        self.sim.step()
        self.controller.observe(self.sim.state())

    def plan(self, latents: Tensor) -> Plan:
        """Return a plan of latents for the window of now."""
        window = self.controller.window()
        frame = Frame.of_features(window.features[:, -1])
        return Plan(window.features, latents, frame, {}, 0.0, window.tick)


@pytest.fixture
def loop(sim: Simulator, skills: Skills, performance: TeacherMotions) -> Loop:
    loop = Loop(sim, skills)
    loop.start(performance.library.rows(ROWS))
    return loop


def counting(width: int) -> Tensor:
    """Return latents that are the number of their frame."""
    return torch.arange(16.0)[None, :, None].expand(2, 16, width)


def test_a_window_after_the_start_is_the_history_that_was_given(
    loop: Loop, performance: TeacherMotions
) -> None:
    window = loop.controller.window()
    rows = performance.library.rows(ROWS)
    torch.testing.assert_close(window.features, loop.controller.layout.features(rows, loop.sim.body))
    assert window.states_known.all() and not window.latents_known.any()


def test_each_latent_of_a_plan_is_held_for_two_control_steps(loop: Loop, skills: Skills) -> None:
    loop.controller.follow(loop.plan(counting(skills.width)))
    held = []
    for _ in range(6):
        loop.step()
        held.append(float(loop.controller.latent[0, 0]))
    assert held == [0, 0, 1, 1, 2, 2]
    window = loop.controller.window()
    assert window.latents_known.tolist() == [[False, True, True, True]] * 2
    assert window.latents[0, 1:, 0].tolist() == [0, 1, 2]
    now = loop.controller.layout.features(loop.sim.state(), loop.sim.body)
    torch.testing.assert_close(window.features[:, -1], now)


def test_a_plan_that_comes_late_is_entered_at_its_age(loop: Loop, skills: Skills) -> None:
    late = loop.plan(counting(skills.width))
    for _ in range(6):
        loop.step()
    loop.controller.follow(late)
    loop.step()
    assert float(loop.controller.latent[0, 0]) == 3.0


def test_without_a_plan_the_prior_continues(loop: Loop, skills: Skills) -> None:
    loop.controller.follow(loop.plan(torch.full((2, 1, skills.width), 9.0)))
    loop.step()
    assert not loop.controller.begins_frame
    loop.step()
    expected = skills.prior(loop.sim.state(), loop.controller.last_action)[0]
    loop.step()
    torch.testing.assert_close(loop.controller.latent, expected)


def test_bodies_that_are_not_reset_keep_history_and_plan(
    loop: Loop, skills: Skills, performance: TeacherMotions
) -> None:
    loop.controller.follow(loop.plan(counting(skills.width)))
    for _ in range(4):
        loop.step()
    before, state = loop.controller.window(), loop.sim.state()
    history = performance.library.rows(torch.tensor([[50, 52, 54, 56, 58]] * 2))
    loop.start(history, torch.tensor([False, True]))
    after = loop.controller.window()
    assert torch.equal(before.features[0], after.features[0])
    assert after.latents_known.sum(-1).tolist() == [2, 0]
    torch.testing.assert_close(loop.sim.state().joint_pos[0], state.joint_pos[0])
    prior = skills.prior(loop.sim.state(), loop.controller.last_action)[0]
    loop.step()
    assert float(loop.controller.latent[0, 0]) == 2.0
    torch.testing.assert_close(loop.controller.latent[1], prior[1])
    loop.step()
    loop.controller.follow(loop.plan(torch.full((2, 16, skills.width), 5.0)))
    loop.step()
    assert (loop.controller.latent == 5.0).all(), "a later plan counts for both"


def test_no_plan_from_before_a_reset_is_followed(
    loop: Loop, skills: Skills, performance: TeacherMotions
) -> None:
    old = loop.plan(counting(skills.width))
    loop.step()
    loop.start(performance.library.rows(ROWS))
    loop.controller.follow(old)
    prior = skills.prior(loop.sim.state(), loop.controller.last_action)[0]
    loop.step()
    torch.testing.assert_close(loop.controller.latent, prior)


def test_a_body_that_has_diverged_is_shown_where_it_started(loop: Loop) -> None:
    fresh = loop.controller.window().features
    loop.step()
    loop.step()
    state = loop.sim.state()
    pos = state.body_pos_w * torch.tensor((1.0, math.nan)).view(2, 1, 1)
    loop.controller.act(state)
    loop.controller.act(state)
    loop.controller.observe(replace(state, body_pos_w=pos))
    window = loop.controller.window()
    assert window.features.isfinite().all() and torch.equal(window.features[1], fresh[1])
    assert window.latents_known.sum(-1).tolist() == [2, 0]


def test_an_agent_needs_no_reset(sim: Simulator, skills: Skills) -> None:
    loop = Loop(sim, skills)
    loop.step()
    state = loop.controller.window().features
    assert state.isfinite().all() and not loop.controller.window().latents_known.any()


def test_the_targets_are_those_of_the_decoder(loop: Loop, skills: Skills) -> None:
    state = loop.sim.state()
    latent = skills.prior(state, loop.controller.last_action)[0]
    expected, _ = skills.targets(state, loop.controller.last_action, latent)
    torch.testing.assert_close(loop.controller.act(state), expected)


def test_other_rates_are_refused(sim: Simulator, skills: Skills) -> None:
    with pytest.raises(MismatchError, match=r"0\.04 s"):
        LatentController(skills, Layout.of(skills.body, TrajectoryCfg(dt=0.02)), 2)
    other = Skills(skills.model, skills.body, replace(skills.header, control_dt=0.01))
    with pytest.raises(MismatchError, match=r"0\.01 s"):
        other.require(sim)
