"""The off-screen renderer, looked at through the pixels it draws, and the files it writes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image

from humanoid.bodies import BodyState, Embodiment, Kinematics
from humanoid.core import ConfigError, InputError, MismatchError, MissingExtraError
from humanoid.view import Marker, Renderer, VideoCfg, save_png, write_video
from humanoid.view.camera import Eye, FollowCamera
from humanoid.view.egl import EglContext
from humanoid.view.video import SHADE

SMALL = VideoCfg(width=160, height=96, samples=0, fps=25.0)


@pytest.fixture(scope="module")
def open_renderer(body: Embodiment) -> Iterator[Renderer]:
    """A small renderer; skipped only where the machine cannot draw at all."""
    try:
        opened = Renderer(SMALL, body)
    except MissingExtraError as error:
        pytest.skip(str(error))
    with opened:
        yield opened


@pytest.fixture
def renderer(open_renderer: Renderer, body: Embodiment) -> Renderer:
    """The renderer with its camera far away, so that a test's first frame is a cut."""
    open_renderer.frame(standing(body, x=1000.0))
    return open_renderer


def standing(body: Embodiment, x: float = 0.0, y: float = 0.0, z: float = 0.95) -> BodyState:
    """The body upright at a place [m]."""
    joints = torch.tensor(body.default_joint_pos, dtype=torch.float32)
    root = torch.tensor([x, y, z])
    still = torch.zeros(3)
    return Kinematics(body).state(
        root, torch.tensor([1.0, 0, 0, 0]), joints, still, still, torch.zeros_like(joints)
    )


def body_pixels(image: np.ndarray) -> np.ndarray:
    """Mask of orange pixels: far more red than blue, as no floor, sky or ghost is."""
    return image[..., 0].astype(int) - image[..., 2] > 60


def test_shows_a_body_standing_upright(renderer: Renderer, body: Embodiment) -> None:
    image = renderer.frame(standing(body))
    assert image.shape == (96, 160, 3) and image.dtype == np.uint8
    rows, columns = np.nonzero(body_pixels(image))
    assert len(rows) > 150
    assert np.ptp(rows) > 1.5 * np.ptp(columns)  # taller than wide
    assert 40 < np.ptp(rows) < 90  # and it fills the picture without leaving it


def test_the_body_is_what_changes_between_a_frame_with_and_without_it(
    renderer: Renderer, body: Embodiment
) -> None:
    seen = renderer.frame(standing(body))
    sunk = renderer.frame(standing(body, z=-5.0))
    assert body_pixels(seen).sum() > 150
    assert body_pixels(sunk).sum() == 0


def test_poses_come_from_the_state_not_from_the_joints(renderer: Renderer, body: Embodiment) -> None:
    state = standing(body)
    lifted = state.body_pos_w.clone()
    lifted[body.body_id("L_Hand")] += torch.tensor([0.0, 0.3, 0.3])
    moved = BodyState(
        state.joint_pos, state.joint_vel, lifted,
        state.body_quat_w, state.body_lin_vel_w, state.body_ang_vel_w,
    )  # fmt: skip
    assert (renderer.frame(state) != renderer.frame(moved)).any(-1).sum() > 5


def test_a_body_casts_a_shadow_on_the_floor(renderer: Renderer, body: Embodiment) -> None:
    shades = [
        (abs(renderer.frame(standing(body, z=z)) - 255.0 * SHADE).max(-1) < 12)[40:].sum()
        for z in (0.95, -9.0)
    ]
    assert shades[0] > 20 and shades[1] == 0


def test_ghost_is_blue_and_stands_beside_the_body(renderer: Renderer, body: Embodiment) -> None:
    state = standing(body)
    image = renderer.frame(state, state)
    plain = image[24:].astype(int)  # below the legend
    blue = plain[..., 2] - plain[..., 0] > 50
    assert blue.sum() > 80
    gap = np.nonzero(blue)[1].mean() - np.nonzero(body_pixels(image[24:]))[1].mean()
    assert gap > 15


def test_ghost_over_the_body_lets_it_shine_through(renderer: Renderer, body: Embodiment) -> None:
    state = standing(body)
    with Renderer(VideoCfg(width=160, height=96, samples=0, ghost_offset=(0.0, 0.0, 0.0)), body) as over:
        mixed = over.frame(state, state)[24:].astype(int)
        solid = over.frame(state)[24:]
    inside = body_pixels(solid)
    assert (mixed[inside][:, 2] > solid[inside][:, 2]).mean() > 0.9  # bluer than the body alone
    assert mixed[inside][:, 0].mean() > 110  # and still with some of its red


def test_the_first_frame_after_a_cut_is_like_the_next(renderer: Renderer, body: Embodiment) -> None:
    assert (renderer.frame(standing(body)) == renderer.frame(standing(body))).all()


def test_caption_changes_only_the_bottom(renderer: Renderer, body: Embodiment) -> None:
    state = standing(body)
    changed = (renderer.frame(state, None, "walk · 1.2 s") != renderer.frame(state)).any(-1)
    assert changed.sum() > 50
    assert not changed[:60].any()


def test_moving_root_moves_the_camera(renderer: Renderer, body: Embodiment) -> None:
    places = []
    for x in (0.0, 0.1, 50.0):
        renderer.frame(standing(body, x=x))
        places.append(renderer.lookat[0])
    assert places[0] == pytest.approx(0.0, abs=1e-6)
    assert 0.0 < places[1] < 0.05  # on its way
    assert places[2] == pytest.approx(50.0)  # a cut


def test_camera_arrives_after_its_time_constant() -> None:
    camera = FollowCamera(distance=4.0, gain=0.1, cut=2.0, apart=0.0)
    camera.follow([np.zeros(3)])
    for _ in range(10):
        camera.follow([np.array((1.0, 0.0, 0.0))])
    assert camera.lookat[0] == pytest.approx(1 - 0.9**10)


def test_camera_steps_back_when_bodies_part() -> None:
    camera = FollowCamera(distance=4.0, gain=1.0, cut=2.0, apart=1.0)
    camera.follow([np.zeros(3), np.array((0.0, 1.0, 0.0))])
    assert camera.distance == pytest.approx(4.0)
    camera.follow([np.zeros(3), np.array((0.0, 3.0, 0.0))])
    assert camera.distance == pytest.approx(4.0 + 0.8 * 2.0)


def test_window_of_points_in_front_of_the_eye() -> None:
    eye = Eye(np.zeros(3), np.array((1.0, 0, 0)), np.array((0.0, 0, 1)), fovy=np.pi / 2)
    # at 90 degrees a point one metre up and one away lies on the upper edge; y is to the left
    points = np.array(((2.0, 1.0, 0.0), (2.0, -1.0, 1.0)))
    assert eye.window(points, 200, 100) == (75, 50, 50, 25)
    assert eye.window(np.array(((1.0, 9.0, 0.0), (1.0, 8.0, 0.0))), 200, 100) is None


def test_refuses_what_it_cannot_draw(renderer: Renderer, body: Embodiment) -> None:
    state = standing(body)
    with pytest.raises(MismatchError, match="body"):
        renderer.frame(state.map(lambda tensor: tensor[None]))
    with pytest.raises(InputError, match="finite"):
        renderer.frame(state.map(lambda tensor: tensor * torch.nan))
    with pytest.raises(ConfigError, match="even"):
        Renderer(VideoCfg(width=161, height=96), body)
    with pytest.raises(ConfigError, match="ghost_alpha"):
        Renderer(VideoCfg(ghost_alpha=1.5), body)


def test_a_closed_renderer_is_an_error(renderer: Renderer, body: Embodiment) -> None:
    with Renderer(SMALL, body) as brief:
        pass
    brief.close()
    with pytest.raises(InputError, match="closed"):
        brief.frame(standing(body))
    assert renderer.frame(standing(body)).any()  # other renderers still work


def test_missing_libegl_names_the_package() -> None:
    with pytest.raises(MissingExtraError, match="libegl1"):
        EglContext("libEGL-not-here.so.1")


def test_import_changes_no_environment_variable() -> None:
    code = (
        "import os, json; before = dict(os.environ); import humanoid.view.video; "
        "print(json.dumps(before == dict(os.environ)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) is True


def decode(path: Path) -> tuple[dict[str, object], list[np.ndarray]]:
    """Read a video back: its header and its frames."""
    reader = imageio_ffmpeg.read_frames(str(path))
    header = next(reader)
    width, height = header["size"]
    return header, [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]


def test_video_decodes_to_what_was_written(tmp_path: Path) -> None:
    frames = [np.full((48, 64, 3), value, dtype=np.uint8) for value in np.linspace(20, 220, 13)]
    path = tmp_path / "new" / "grey.mp4"
    assert write_video(path, iter(frames), 25.0) == 13
    header, decoded = decode(path)
    assert header["size"] == (64, 48) and header["fps"] == 25.0
    assert header["codec"] == "h264" and str(header["pix_fmt"]).startswith("yuv420p")
    assert len(decoded) == 13
    for written, read in zip(frames, decoded, strict=True):
        assert abs(written.astype(int) - read).max() <= 6
    assert [item.name for item in path.parent.iterdir()] == ["grey.mp4"]


def test_failing_frames_leave_no_file_and_keep_the_old_one(tmp_path: Path) -> None:
    def broken() -> Iterator[np.ndarray]:
        yield np.zeros((48, 64, 3), np.uint8)
        raise InputError("the simulation has diverged")

    old = tmp_path / "old.mp4"
    old.write_bytes(b"earlier")
    for path in (tmp_path / "new.mp4", old):
        with pytest.raises(InputError, match="diverged"):
            write_video(path, broken(), 25.0)
    assert [item.name for item in tmp_path.iterdir()] == ["old.mp4"]
    assert old.read_bytes() == b"earlier"


def test_refuses_frames_that_make_no_video(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    small, large = np.zeros((48, 64, 3), np.uint8), np.zeros((48, 66, 3), np.uint8)
    with pytest.raises(InputError, match="no frames"):
        write_video(path, iter(()), 25.0)
    with pytest.raises(InputError, match="even"):
        write_video(path, [np.zeros((48, 63, 3), np.uint8)], 25.0)
    with pytest.raises(InputError, match="frame 1"):
        write_video(path, [small, large], 25.0)
    assert not list(tmp_path.iterdir())


def test_png_holds_the_frame(tmp_path: Path) -> None:
    image = np.arange(48 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(48, 64, 3)
    save_png(tmp_path / "frame.png", image[::-1])
    with Image.open(tmp_path / "frame.png") as read:
        assert (np.asarray(read) == image[::-1]).all()


def test_markers_are_drawn_at_their_positions(open_renderer: Renderer, body: Embodiment) -> None:
    state = standing(body)
    marks = (
        Marker(kind="pillar", pos_w=(0.0, 1.2), radius=0.15, height=1.7, color=(0.1, 0.1, 0.9)),
        Marker(kind="disc", pos_w=(0.0, -1.0), radius=0.3, color=(0.1, 0.7, 0.1)),
    )
    with Renderer(SMALL, body, marks) as marked:
        image = marked.frame(state).astype(int)
    blue = image[..., 2] - image[..., 0] > 90
    green = image[..., 1] - image[..., 0] > 60
    green &= image[..., 1] > image[..., 2]
    rows, columns = np.nonzero(blue)
    assert len(rows) > 60 and np.ptp(rows) > 3 * np.ptp(columns)  # upright
    low, wide = np.nonzero(green)
    assert len(low) > 10 and np.ptp(wide) > 1.5 * np.ptp(low) and low.min() > 48  # flat, on the floor
