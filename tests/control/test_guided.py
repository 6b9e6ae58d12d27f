"""Guided agent: plans from this process or a worker, problems reported once, the shipped planner walks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from humanoid.bodies import Embodiment
from humanoid.control import GuidedAgent, LoopCfg, Planner
from humanoid.core import HumanoidError, InputError, MismatchError
from humanoid.diffusion import Frame, Layout
from humanoid.envs import Velocity
from humanoid.planning import Guidance, Keyframes, Plan, PlanWorker, Window
from humanoid.planning.costs import Heading, Joystick
from humanoid.skills import Skills
from humanoid.tasks.starts import standing
from tests.tasks.guided import Floor, Glider, guided_agent, write_models


class Brought(PlanWorker):
    """A worker without a process, whose plans and errors the test brings."""

    def __init__(self) -> None:
        """Have none yet."""
        self.plan: Plan | HumanoidError | None = None
        self.submitted: list[Window] = []

    def poll(self) -> Plan | None:
        """Return or raise what was brought, once."""
        plan, self.plan = self.plan, None
        if isinstance(plan, HumanoidError):
            raise plan
        return plan

    def submit(
        self, window: Window, guidance: Guidance | None = None, keyframes: Keyframes | None = None
    ) -> None:
        """Keep the window."""
        self.submitted.append(window)


def moved(window: Window, layout: Layout, dropped: dict[str, int] | None = None) -> Plan:
    """Return a plan for a window."""
    features = window.features[:, -1:].expand(-1, layout.cfg.num_states, -1)
    latents = torch.zeros(len(features), layout.cfg.latent_horizon, 4)
    return Plan(
        features, latents, Frame.of_features(window.features[:, -1]), {}, 0.0, window.tick, dropped or {}
    )


@pytest.fixture
def worker() -> Brought:
    return Brought()


@pytest.fixture
def agent(body: Embodiment, worker: Brought) -> GuidedAgent:
    layout = Layout.of(body)
    agent = GuidedAgent(worker, Glider(body, layout))  # type: ignore[arg-type]
    agent.reset(history=standing(body, layout.cfg.history + 1))
    return agent


def test_a_worker_gets_a_window_every_replanning_period(
    agent: GuidedAgent, worker: Brought, body: Embodiment
) -> None:
    sim = Floor(body, 1)
    for _ in range(2 * agent.period + 1):
        agent.act(sim.state())
    assert [window.tick for window in worker.submitted] == [0, 5, 10] and agent.plan is None
    plan = worker.plan = moved(worker.submitted[-1], agent.controller.layout)
    agent.act(sim.state())
    assert agent.plan is plan


def test_problems_are_reported_once_and_stop_nothing(
    agent: GuidedAgent, worker: Brought, body: Embodiment
) -> None:
    sim, layout = Floor(body, 1), agent.controller.layout
    agent.act(sim.state())
    for dropped, named in (
        ({"obstacles": 1}, ["obstacles"]),
        ({"obstacles": 1}, []),
        ({"obstacles": 1, "style": 1}, ["style"]),
        ({}, []),
    ):
        plan = worker.plan = moved(worker.submitted[-1], layout, dropped)
        agent.act(sim.state())
        messages = agent.messages()
        assert agent.plan is plan and len(messages) == len(named)
        assert all(name in message for name, message in zip(named, messages, strict=True))
    worker.plan = HumanoidError("the planning process has died")
    agent.act(sim.state())
    assert agent.messages() == ["the planning process has died"] and not agent.messages()


def test_a_command_may_come_with_the_state_and_stays(body: Embodiment) -> None:
    layout, sim = Layout.of(body), Floor(body, 2)
    agent = guided_agent(body, layout, LoopCfg(replan=0.04))
    agent.reset(history=standing(body, layout.cfg.history + 1)[torch.zeros(2, dtype=torch.long)])
    forward = Velocity(velocity=torch.tensor([[0.5, 0.0]]))
    agent.act(sim.state())
    assert not agent.act(sim.state(), [forward])[:, 0].any(), "the next plan follows it"
    for _ in range(4):
        targets = agent.act(sim.state())
        assert targets[:, 0].tolist() == pytest.approx([0.5, 0.5])


@pytest.fixture(scope="module")
def models(body: Embodiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of untrained skills and an untrained planner, by the names that ship."""
    folder = tmp_path_factory.mktemp("models")
    latent, diffusion = write_models(folder, body)
    diffusion.rename(folder / "diffusion-small.pt")
    return latent.parent


def test_a_planner_is_a_file_or_a_folder_with_its_skills(models: Path, tmp_path: Path) -> None:
    for planner in (
        Planner.load(models),
        Planner.load(models / "diffusion-small.pt", models),
        Planner.load(models / "diffusion-small.pt", models / "latent.pt"),
    ):
        assert planner.skills.width == 4
    assert Skills.load(models).width == 4
    with pytest.raises(MismatchError):
        Planner.load(models / "diffusion-small.pt")  # the shipped skills are not its own
    with pytest.raises(InputError, match="checkpoint"):
        Planner.load(tmp_path)


def test_the_shipped_planner_walks_as_commanded() -> None:
    planner = Planner.load("pretrained")
    sim = planner.simulator()
    agent = planner.agent(sim)
    agent.command([Joystick(velocity=(0.8, 0.0)), Heading(yaw=0.0)])
    start = sim.state().root_pos_w.clone()
    for _ in range(100):
        sim.set_targets(agent.act(sim.state()))
        sim.step()
    gone = sim.state().root_pos_w - start
    assert 1.0 < float(gone[0, 0]) < 2.2 and abs(float(gone[0, 1])) < 0.5 and abs(float(gone[0, 2])) < 0.1
    sim.close()
