"""Teleoperation put together: orders become costs, plans come from another process, videos get drawn."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch

from humanoid.bodies import BodyState, Embodiment
from humanoid.control import CommandCfg, LoopCfg
from humanoid.core import ConfigError, HumanoidError, InputError, atomic_save
from humanoid.diffusion import TrajectoryCfg
from humanoid.envs import Avoid, Place, Velocity
from humanoid.motion import Motion
from humanoid.nn import read_torch
from humanoid.planning import SamplerCfg
from humanoid.scripts.teleop import SCRIPT, WORLD_SCRIPT, main, table
from humanoid.scripts.verbs import TeleopCfg
from humanoid.tasks.starts import few_starts
from humanoid.teleop import (
    ControlsCfg,
    GuidedWalker,
    Obstacle,
    Recorder,
    StickCommand,
    TeleopCommand,
    WalkerCfg,
)
from humanoid.teleop.controls import SLOWEST, WORLD
from humanoid.teleop.recorder import save_frames, take_frames
from humanoid.teleop.walker import avoid_of, commands_of, style_of
from humanoid.view import VideoCfg
from humanoid.view.egl import EglContext
from tests.glider import Glider
from tests.tasks.guided import gliding, write_models

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


@contextmanager
def limit(what: int, value: int) -> Iterator[None]:
    """Let this process have less of a resource for a while."""
    soft, hard = resource.getrlimit(what)
    resource.setrlimit(what, (value, hard))
    try:
        yield
    finally:
        resource.setrlimit(what, (soft, hard))


def test_the_planner_sees_the_obstacles_that_are_drawn() -> None:
    generator = np.random.default_rng(0)
    points = generator.uniform(-3.0, 3.0, (500, 3)) * (1.0, 1.0, 0.3) + (0.0, 0.0, 0.9)
    cost = avoid_of(OBSTACLES)
    assert cost is not None
    groups = [group for group in (cost.capsules, cost.spheres, cost.boxes) if group is not None]
    seen = torch.cat([group.distance(torch.from_numpy(points).float()[None]) for group in groups], dim=-1)
    drawn = np.min([found.distance(points) for found in OBSTACLES if found.active], axis=0)
    assert seen.amin(-1)[0].numpy() == pytest.approx(drawn, abs=1e-5)


def test_orders_become_commands(squat: Motion) -> None:
    styles = {"squat": style_of(squat, 0.04)}
    (stick,) = commands_of(WalkerCfg(), TeleopCommand(command=StickCommand(0.8, -0.2, 0.3)), styles)
    assert isinstance(stick, Velocity) and stick.frame == "heading"
    assert stick.velocity is not None and stick.yaw_rate is not None
    torch.testing.assert_close(stick.velocity, torch.tensor([[0.8, -0.2]]))
    torch.testing.assert_close(stick.yaw_rate, torch.tensor([0.3]))
    everything = TeleopCommand(waypoint=(3.0, 1.0), obstacles=OBSTACLES, style="squat")
    place, avoid, style = commands_of(WalkerCfg(speed=0.7, reach=0.9), everything, styles)
    assert isinstance(place, Place) and (place.speed, place.reach) == (0.7, 0.9)
    assert isinstance(avoid, Avoid) and style is styles["squat"]
    assert avoid_of(OBSTACLES[3:]) is None


def test_a_slow_command_leaves_the_pace_to_the_body() -> None:
    for command in (StickCommand(), StickCommand(forward=SLOWEST - 0.1, turn=0.6)):
        (stick,) = commands_of(WalkerCfg(), TeleopCommand(command=command), {})
        assert isinstance(stick, Velocity) and stick.velocity is None and stick.yaw_rate is not None
        assert float(stick.yaw_rate) == pytest.approx(command.turn)
        assert not commands_of(WalkerCfg(frame="world"), TeleopCommand(command=command), {})


def test_in_the_world_frame_no_command_is_faster_than_its_range() -> None:
    for forward, left, speed in ((-0.6, 0.6, 0.6 * np.sqrt(2.0)), (1.2, 1.2, WORLD.forward[1])):
        (back,) = commands_of(
            WalkerCfg(frame="world"), TeleopCommand(command=StickCommand(forward, left)), {}
        )
        assert isinstance(back, Velocity) and back.frame == "world" and back.velocity is not None
        assert float(back.velocity.norm()) == pytest.approx(speed)
        assert float(torch.atan2(*back.velocity[0].flip(0))) == pytest.approx(np.arctan2(left, forward))


def test_begins_with_walks_that_came_with_the_skills(
    models: tuple[str, str], body: Embodiment, tmp_path: Path
) -> None:
    walks = few_starts((gliding(body, 6.0),), body, TrajectoryCfg().past, 3)
    assert walks is not None
    content = {**read_torch(models[0]), "tables": {"starts": vars(walks)}}
    latent = tmp_path / "latent.pt"
    atomic_save(content, latent)
    walker = GuidedWalker(WalkerCfg(sampler=SamplerCfg(steps=1)), str(latent), models[1])
    try:
        for index in (0, 1, 2, 0):
            expected = walks[index, -1]
            assert torch.allclose(walker.state.root_pos_w[0], expected.root_pos_w, atol=1e-4)
            assert torch.allclose(walker.state.root_lin_vel_w[0], expected.root_lin_vel_w, atol=1e-4)
            walker.steer(TeleopCommand())
            walker.step()
            walker.reset()
    finally:
        walker.close()


def test_plans_arrive_and_are_followed(models: tuple[str, str]) -> None:
    walker = GuidedWalker(WalkerCfg(loop=LoopCfg(replan=0.08), sampler=SamplerCfg(steps=1)), *models)
    try:
        start = walker.state.root_pos_w[0].clone()
        end = time.monotonic() + 120.0
        while walker.path is None:
            assert time.monotonic() < end, "no plan"
            walker.steer(TeleopCommand(command=StickCommand(forward=0.5), obstacles=OBSTACLES[:1]))
            walker.step()
            time.sleep(0.02)
        assert walker.path.shape == (TrajectoryCfg().horizon + 1, 2) and len(walker.plan_times) >= 1
        assert walker.path is walker.path
        before = walker.state.root_lin_vel_w[0]
        walker.push((0.4, -0.3))
        expected = before + torch.tensor((0.4, -0.3, 0.0))
        torch.testing.assert_close(walker.state.root_lin_vel_w[0], expected, atol=1e-4, rtol=0)
        walker.step()
        walker.reset()
        assert torch.allclose(walker.state.root_pos_w[0], start, atol=1e-4) and walker.path is None
    finally:
        walker.close()


def test_a_planning_process_that_does_not_start_is_an_error(models: tuple[str, str]) -> None:
    with pytest.raises(HumanoidError, match="start"):
        GuidedWalker(WalkerCfg(), *models, patience=0.1)
    assert "planner" not in [process.name for process in multiprocessing.active_children()]


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
    cfg = TeleopCfg(latent=models[0], diffusion=models[1], port=0, seconds=0.5, out=str(tmp_path))
    assert main(cfg)["control_steps"] > 3
    said = capsys.readouterr()
    assert "open http://127.0.0.1:" in said.err and not said.out


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--seconds"):
        TeleopCfg(headless=True)
    with pytest.raises(ConfigError, match="seconds"):
        TeleopCfg(seconds=-1.0)
    with pytest.raises(ConfigError, match="'joystik'"):
        LoopCfg(weights={"joystik": 1.0})
    with pytest.raises(ConfigError, match="replan"):
        LoopCfg(replan=0.0)
    for weight in (-1.0, np.inf, np.nan):
        with pytest.raises(ConfigError, match=r"weights\.joystick"):
            LoopCfg(weights={"joystick": weight})
    for weight in (-1.0, 0.0, np.inf, np.nan):
        with pytest.raises(ConfigError, match="yaw_weight"):
            CommandCfg(yaw_weight=weight)
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


def end_drawing(recorder: Recorder) -> None:
    """End the processes that draw, early."""
    for process in multiprocessing.active_children():
        process.kill()
    assert all("could not be drawn" in line for line in recorder.close())


def test_a_long_recording_needs_few_files_and_does_not_keep_the_loop_waiting(
    body: Embodiment, tmp_path: Path
) -> None:
    recorder, state = Recorder(tmp_path, body, 0.02), Glider(body).state
    recorder.toggle()
    for _ in range(1500):
        recorder.take(state, "30 s")
    with limit(resource.RLIMIT_NOFILE, 256):
        begun = time.perf_counter()
        said = recorder.toggle()
        seconds = time.perf_counter() - begun
    end_drawing(recorder)
    assert said == f"drawing {tmp_path / 'teleop_001.mp4'}" and seconds < 0.5
    assert not list(tmp_path.iterdir())  # though nobody took the frames up


def test_frames_survive_their_file(body: Embodiment, tmp_path: Path) -> None:
    state, path = Glider(body).state, tmp_path / "frames.npz"
    pos, quat = state.body_pos_w.numpy(), state.body_quat_w.numpy()
    save_frames(path, [(pos, quat, "vorwärts"), (pos + 1.0, quat, "")])
    first, second = take_frames(path)
    assert np.array_equal(first[0], pos) and np.array_equal(second[0], pos + 1.0)
    assert np.array_equal(second[1], quat) and (first[2], second[2]) == ("vorwärts", "")
    assert not path.exists()


def test_frames_that_cannot_be_written_are_said(body: Embodiment, tmp_path: Path) -> None:
    recorder, state = Recorder(tmp_path, body, 0.02), Glider(body).state
    recorder.toggle()
    for _ in range(100):
        recorder.take(state, "")
    with limit(resource.RLIMIT_FSIZE, 4096):
        said = recorder.toggle()
    assert "teleop_001.npz: cannot write: File too large" in said
    assert not recorder.close() and not list(tmp_path.iterdir())


def test_the_next_video_leaves_alone_what_is_there(body: Embodiment, tmp_path: Path) -> None:
    recorder, state = Recorder(tmp_path, body, 0.02), Glider(body).state
    foreign = tmp_path / "teleop_001.npz"
    foreign.write_bytes(b"of somebody else")
    half = tmp_path / ".teleop_002.123.tmp.mp4"
    for number in (2, 3):
        recorder.toggle()
        recorder.take(state, "")
        assert f"teleop_{number:03d}.mp4" in recorder.toggle()
        if number == 2:
            half.touch()  # what the first is drawn into
    assert half.exists() and foreign.read_bytes() == b"of somebody else"
    end_drawing(recorder)
