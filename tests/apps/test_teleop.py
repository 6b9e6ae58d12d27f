"""Teleoperation put together: orders become costs, plans come from another process, videos get drawn."""

from __future__ import annotations

import time
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch

from humanoid.apps.teleop import SCRIPT, WORLD_SCRIPT, TeleopCfg, main, table
from humanoid.apps.teleop_film import Recorder
from humanoid.apps.teleop_walker import (
    WEIGHTS,
    GuidedWalker,
    WalkerCfg,
    costs_of,
    guidance,
    obstacle_cost,
    style_of,
)
from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.state import BodyState
from humanoid.core.errors import ConfigError, HumanoidError, InputError
from humanoid.core.runs import atomic_save
from humanoid.diffusion.costs import Joystick, Steer, Waypoint
from humanoid.diffusion.sampler import SamplerCfg
from humanoid.diffusion.trajectory import Layout, TrajectoryCfg
from humanoid.eval.guide_starts import few_starts
from humanoid.motion.motion import Motion
from humanoid.nn.policy import read_torch
from humanoid.view.arena import Obstacle
from humanoid.view.controls import SLOWEST, WORLD, Command, ControlsCfg
from humanoid.view.egl import EglContext
from humanoid.view.session import Orders
from humanoid.view.video import VideoCfg
from tests.eval.guided import gliding, write_models
from tests.glider import Glider

OBSTACLES = (
    Obstacle("pillar 1", "pillar", (2.0, 0.0, 0.9)),
    Obstacle("sphere 2", "sphere", (0.0, 2.0, 1.2)),
    Obstacle("box 3", "box", (-1.0, -1.0, 0.4)),
    Obstacle("pillar 4", "pillar", (0.1, 0.0, 0.9), active=False),
)


@pytest.fixture(scope="module")
def models(body: Embodiment, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Checkpoints of untrained skills and an untrained planner."""
    latent, diffusion = write_models(tmp_path_factory.mktemp("models"), body)
    return str(latent), str(diffusion)


def test_the_planner_sees_the_obstacles_that_are_drawn() -> None:
    generator = np.random.default_rng(0)
    points = generator.uniform(-3.0, 3.0, (500, 3)) * (1.0, 1.0, 0.3) + (0.0, 0.0, 0.9)
    cost = obstacle_cost(Orders(obstacles=OBSTACLES))
    assert cost is not None
    names = [f"point {index}" for index in range(len(points))]
    gaps = [
        cost.clearance(torch.tensor(p[None, None], dtype=torch.float32), names[:1]).item() for p in points
    ]
    drawn = np.min([found.distance(points) for found in OBSTACLES if found.active], axis=0)
    radius = drawn - gaps  # of a body without a name that tells it: one number
    assert radius == pytest.approx(np.full(len(points), radius[0]), abs=1e-5)


def test_orders_become_costs(body: Embodiment, squat: Motion) -> None:
    layout = Layout.of(body)
    styles = {"squat": style_of(squat, body, layout)}
    cfg = WalkerCfg(weights={"obstacles": 5.0}, yaw_weight=0.5)
    (stick,) = costs_of(cfg, Orders(command=Command(0.8, -0.2, 0.3)), styles)
    assert isinstance(stick, Joystick) and (stick.velocity, stick.yaw_rate) == ((0.8, -0.2), 0.3)
    assert stick.yaw_weight == 0.5
    everything = Orders(waypoint=(3.0, 1.0), obstacles=OBSTACLES, style="squat")
    full = guidance(cfg, costs_of(cfg, everything, styles))
    assert [cost.name for cost in full.costs] == ["steer", "waypoint", "obstacles", "style"]
    assert isinstance(full.costs[1], Waypoint) and full.weights["obstacles"] == 5.0
    assert full.weights["waypoint"] == WEIGHTS["waypoint"]
    assert obstacle_cost(Orders(obstacles=OBSTACLES[3:])) is None


def test_a_slow_command_leaves_the_pace_to_the_body() -> None:
    for command in (Command(), Command(forward=SLOWEST - 0.1, turn=0.6)):
        (stick,) = costs_of(WalkerCfg(), Orders(command=command), {})
        assert isinstance(stick, Joystick) and stick.velocity is None and stick.yaw_rate == command.turn
        assert not costs_of(WalkerCfg(frame="world"), Orders(command=command), {})


def test_in_the_frame_of_the_world_the_body_turns_to_where_it_goes() -> None:
    (back,) = costs_of(WalkerCfg(frame="world"), Orders(command=Command(forward=-0.6, left=0.6)), {})
    assert isinstance(back, Steer)
    assert back.yaw == pytest.approx(0.75 * np.pi) and back.speed == pytest.approx(0.6 * np.sqrt(2.0))
    fast = Command(forward=WORLD.forward[1], left=WORLD.left[1])
    (cost,) = costs_of(WalkerCfg(frame="world"), Orders(command=fast), {})
    assert isinstance(cost, Steer) and cost.speed == WORLD.forward[1]


def test_begins_with_walks_that_came_with_the_skills(
    models: tuple[str, str], body: Embodiment, tmp_path: Path
) -> None:
    walks = few_starts((gliding(body, 6.0),), body, TrajectoryCfg(), 3)
    assert walks is not None
    content = {**read_torch(models[0]), "starts": vars(walks)}
    latent = tmp_path / "latent.pt"
    atomic_save(content, latent)
    walker = GuidedWalker(WalkerCfg(sampler=SamplerCfg(steps=1)), str(latent), models[1])
    try:
        for index in (0, 1, 2, 0):
            expected = walks[index, -1]
            assert torch.allclose(walker.state.root_pos_w[0], expected.root_pos_w, atol=1e-4)
            assert torch.allclose(walker.state.root_lin_vel_w[0], expected.root_lin_vel_w, atol=1e-4)
            walker.steer(Orders())  # asks for a plan, which must not be followed after the reset
            walker.step()
            walker.reset()
        stale, end = walker._begun, time.monotonic() + 60.0
        while not walker.plan_times:
            assert time.monotonic() < end, "no plan"
            plan = walker.worker.poll()
            assert plan is None or plan.tick < stale
            time.sleep(0.01)
    finally:
        walker.close()


def test_plans_arrive_and_are_followed(models: tuple[str, str]) -> None:
    walker = GuidedWalker(WalkerCfg(replan=0.08, sampler=SamplerCfg(steps=1)), *models)
    try:
        start = walker.state.root_pos_w[0].clone()
        end = time.monotonic() + 120.0
        while walker.path is None:
            assert time.monotonic() < end, "no plan"
            walker.steer(Orders(command=Command(forward=0.5), obstacles=OBSTACLES[:1]))
            walker.step()
            time.sleep(0.02)
        assert walker.path.shape == (walker.layout.cfg.horizon + 1, 2) and len(walker.plan_times) >= 1
        assert walker.path is walker.path
        walker.push((0.5, 0.0))
        walker.step()
        walker.reset()
        assert torch.allclose(walker.state.root_pos_w[0], start, atol=1e-4) and walker.path is None
    finally:
        walker.close()


def test_measures_itself_without_a_page(models: tuple[str, str]) -> None:
    result = main(TeleopCfg(latent=models[0], diffusion=models[1], headless=True, seconds=1.0))
    assert result["task"] == "teleop" and result["control_steps"] > 5 and result["seconds"] >= 1.0
    assert "control_misses" in table(result)
    for ranges, script in ((ControlsCfg(), SCRIPT), (WORLD, WORLD_SCRIPT)):
        for act in script:
            for axis, value in act.values.items():
                assert ranges.range(axis)[0] <= value <= ranges.range(axis)[1]


def test_serves_a_page_and_ends_by_itself(
    models: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("viser")
    page = pytest.importorskip("humanoid.view.teleop_page")
    cfg = TeleopCfg(
        latent=models[0], diffusion=models[1], page=page.PageCfg(port=0), seconds=0.5, out=str(tmp_path)
    )
    assert main(cfg)["control_steps"] > 3
    said = capsys.readouterr()
    assert "open http://127.0.0.1:" in said.err and not said.out


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--seconds"):
        TeleopCfg(headless=True)
    with pytest.raises(ConfigError, match="seconds"):
        TeleopCfg(seconds=-1.0)
    with pytest.raises(ConfigError, match="'joystik' is no cost; did you mean 'joystick'"):
        WalkerCfg(weights={"joystik": 1.0})
    with pytest.raises(ConfigError, match="replan"):
        WalkerCfg(replan=0.0)
    with pytest.raises(InputError, match=r"absent\.pt"):
        main(TeleopCfg(latent=str(tmp_path / "absent.pt"), diffusion="none.pt", headless=True, seconds=1.0))


def test_a_recording_becomes_a_video(body: Embodiment, tmp_path: Path) -> None:
    try:
        EglContext().close()
    except HumanoidError as error:
        pytest.skip(str(error))
    (tmp_path / "teleop_001.mp4").write_bytes(b"an older one")
    recorder = Recorder(tmp_path, body, 0.02, VideoCfg(width=160, height=96, samples=0))
    glider = Glider(body)
    assert "recording" in recorder.toggle()
    for _ in range(20):
        glider.step()
        recorder.take(glider.state, "a caption")
    said = recorder.toggle()
    assert "teleop_002.mp4" in said
    assert any("is there" in line for line in recorder.close())
    frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "teleop_002.mp4"))
    assert frames == 10 and seconds == pytest.approx(0.4, abs=0.05)
    assert (tmp_path / "teleop_001.mp4").read_bytes() == b"an older one"


def test_nothing_recorded_and_nothing_writable_are_said(body: Embodiment, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "out", body, 0.02)
    recorder.toggle()
    assert recorder.toggle() == "nothing was recorded" and not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    blocked = Recorder(tmp_path / "file", body, 0.02)
    blocked.toggle()
    state: BodyState = Glider(body).state
    blocked.take(state, "")
    assert "is a file" in blocked.toggle() and not blocked.close()
