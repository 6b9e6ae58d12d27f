"""The control loop: whose latent is held when, and what the planner is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from humanoid.control.latent import Driver
from humanoid.core.errors import MismatchError
from humanoid.diffusion.trajectory import Frame, Layout, TrajectoryCfg
from humanoid.planning.planner import Plan
from humanoid.sim import SimCfg, make_sim
from humanoid.sim.protocol import Simulator
from humanoid.skills.skills import Skills
from humanoid.skills.teacher import Performance


@pytest.fixture(scope="module")
def sim(skills: Skills) -> Simulator:
    return make_sim(SimCfg(threads=1), skills.body, 2, 0)


@pytest.fixture
def driver(sim: Simulator, skills: Skills, performance: Performance) -> Driver:
    driver = Driver(sim, skills, Layout.of(skills.body))
    rows = torch.tensor([[0, 2, 4, 6, 8], [20, 22, 24, 26, 28]])
    driver.start(performance.library.rows(rows))
    return driver


def plan_of(driver: Driver, latents: torch.Tensor) -> Plan:
    window = driver.window()
    return Plan(window.features, latents, Frame.of(driver.state), {}, 0.0, window.tick)


def test_a_window_after_the_start_is_the_history_that_was_given(
    driver: Driver, performance: Performance
) -> None:
    window = driver.window()
    rows = performance.library.rows(torch.tensor([[0, 2, 4, 6, 8], [20, 22, 24, 26, 28]]))
    torch.testing.assert_close(window.features, driver.layout.features(rows, driver.sim.body))
    assert window.states_known.all() and not window.latents_known.any()
    torch.testing.assert_close(driver.state.joint_pos, rows.joint_pos[:, -1])


def test_each_latent_of_a_plan_is_held_for_two_control_steps(driver: Driver) -> None:
    latents = torch.arange(16.0)[None, :, None].expand(2, 16, driver.skills.width)
    driver.follow(plan_of(driver, latents))
    held = []
    for _ in range(6):
        driver.step()
        held.append(float(driver.latent[0, 0]))
    assert held == [0, 0, 1, 1, 2, 2]
    window = driver.window()
    assert window.latents_known.tolist() == [[False, True, True, True]] * 2
    assert window.latents[0, 1:, 0].tolist() == [0, 1, 2]
    torch.testing.assert_close(window.features[:, -1], driver.layout.features(driver.state, driver.sim.body))


def test_a_plan_that_comes_late_is_entered_at_its_age(driver: Driver) -> None:
    late = plan_of(driver, torch.arange(16.0)[None, :, None].expand(2, 16, driver.skills.width))
    for _ in range(6):
        driver.step()
    driver.follow(late)
    driver.step()
    assert float(driver.latent[0, 0]) == 3.0


def test_latents_of_a_plan_from_elsewhere_come_to_the_device_of_the_driver(driver: Driver) -> None:
    driver.follow(plan_of(driver, torch.zeros(2, 16, driver.skills.width)))
    driver.latent = driver.latent.to("meta")  # any device that the plan is not on
    assert driver._next_latent().device == driver.latent.device


def test_without_a_plan_the_prior_goes_on(driver: Driver, skills: Skills) -> None:
    driver.follow(plan_of(driver, torch.full((2, 1, skills.width), 9.0)))
    driver.step()
    assert not driver.needs_frame
    driver.step()
    expected = skills.prior(driver.state, driver.last_action)[0]
    driver.step()
    torch.testing.assert_close(driver.latent, expected)


def test_bodies_that_are_not_chosen_go_on(driver: Driver, performance: Performance) -> None:
    for _ in range(4):
        driver.step()
    before = driver.window()
    rows = torch.tensor([[50, 52, 54, 56, 58]] * 2)
    driver.start(performance.library.rows(rows), torch.tensor([False, True]))
    after = driver.window()
    assert torch.equal(before.features[0], after.features[0])
    assert after.latents_known.sum(-1).tolist() == [2, 0]
    torch.testing.assert_close(driver.state.joint_pos[1], performance.library.rows(rows).joint_pos[1, -1])


def test_the_body_is_where_the_decoder_sends_it(driver: Driver, skills: Skills, sim: Simulator) -> None:
    """One step by hand, from the driver's own parts."""
    latent = skills.prior(driver.state, driver.last_action)[0]
    targets, _ = skills.targets(driver.state, driver.last_action, latent)
    start = driver.state
    after = driver.step()
    everyone = torch.ones(2, dtype=torch.bool)
    sim.reset(everyone, start)
    sim.set_targets(targets)
    sim.step()
    torch.testing.assert_close(sim.state().joint_pos, after.joint_pos, atol=1e-4, rtol=0)


def test_other_rates_are_refused(sim: Simulator, skills: Skills) -> None:
    with pytest.raises(MismatchError, match="a latent is held for 0.04 s"):
        Driver(sim, skills, Layout.of(skills.body, TrajectoryCfg(dt=0.02)))
    other = Skills(skills.model, skills.body, replace(skills.header, control_dt=0.01))
    with pytest.raises(MismatchError, match="0.01 s, not 0.02 s"):
        Driver(sim, other, Layout.of(skills.body))
