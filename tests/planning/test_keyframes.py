"""Keyframes: files and states become numbers of tokens, and what nobody can do is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from humanoid.bodies import Embodiment
from humanoid.core import InputError
from humanoid.diffusion import Layout
from humanoid.diffusion.trajectory import ANG, POS, ROT, VEL
from humanoid.motion import Motion
from humanoid.planning import KeyPoses, keys_of_rows, keys_of_states, load_keys
from humanoid.planning.keyframes import KeyFile, KeyRow

ROOT, HAND = "Pelvis", "L_Wrist"


@pytest.fixture
def layout(body: Embodiment) -> Layout:
    """The token layout of the default body."""
    return Layout.of(body)


def rows_of(motion: Motion, times: list[float], layout: Layout) -> tuple[KeyRow, ...]:
    """Return a whole pose of a motion at each time as rows."""
    states = motion.at(torch.tensor(times))
    rows = []
    for index, time in enumerate(times):
        for name in (layout.root, *layout.bodies):
            pos = states.body_pos_w[index, motion.body_names.index(name)].tolist()
            quat = tuple(states.root_quat_w[index].tolist()) if name == layout.root else None
            rows.append(KeyRow(time=time, body=name, pos=tuple(pos), quat=quat))  # type: ignore[arg-type]
    return tuple(rows)


def test_rows_of_whole_poses_are_the_features_of_their_states_but_for_velocities(
    body: Embodiment, layout: Layout, squat: Motion
) -> None:
    times = [0.5, 1.5]
    keys = keys_of_rows(KeyFile(keyframes=rows_of(squat, times, layout)), layout, body)
    expected = layout.features(squat.at(torch.tensor(times)), body)
    still = torch.zeros(layout.width, dtype=torch.bool)
    still[VEL] = still[ANG] = still[layout.body_vel] = True
    assert torch.equal(keys.mask, ~still.expand(2, -1))
    torch.testing.assert_close(keys.features[:, ~still], expected[:, ~still])
    assert not keys.loose.any() and keys.seconds == 1.5


def test_whole_states_give_every_number(body: Embodiment, layout: Layout, squat: Motion) -> None:
    times = torch.tensor((0.0, 0.4, 2.0))
    keys = keys_of_states(times, squat.at(times), 2.0, layout, body)
    assert keys.mask.all() and keys.given.all() and not keys.loose.any()
    torch.testing.assert_close(keys.features, layout.features(squat.at(times), body))


def test_without_the_roots_rotation_bodies_are_loose(body: Embodiment, layout: Layout) -> None:
    place = KeyRow(time=1.0, body=ROOT, pos=(0.5, 0.0, 0.9))
    hand = KeyRow(time=1.0, body=HAND, pos=(0.6, 0.3, 1.2))
    keys = keys_of_rows(KeyFile(keyframes=(hand, place)), layout, body)
    expected = torch.zeros(1, layout.width, dtype=torch.bool)
    expected[:, POS] = True
    assert torch.equal(keys.mask, expected)
    assert [keys.bodies[i] for i in keys.loose[0].nonzero().flatten().tolist()] == [HAND]
    whole = replace(place, quat=(1.0, 0.0, 0.0, 0.0))
    keys = keys_of_rows(KeyFile(keyframes=(hand, whole)), layout, body)
    assert keys.mask[0, ROT].all() and not keys.loose.any()
    assert int(keys.mask.sum()) == 3 + 6 + 3


def test_a_file_of_either_kind_gives_the_same_keyframes(
    body: Embodiment, layout: Layout, tmp_path: Path
) -> None:
    (tmp_path / "keys.yaml").write_text(
        "seconds: 4\nkeyframes:\n"
        "  - {time: 2, body: L_Wrist, pos: [1.4, 0.2, 1.2]}\n"
        "  - {time: 1.0, body: Pelvis, pos: [0.5, 0.0, 0.9], quat: [2, 0, 0, 0]}\n"
    )
    np.savez(
        tmp_path / "keys.npz",
        time=np.array((2.0, 1.0)),
        body=np.array((HAND, ROOT)),
        pos=np.array(((1.4, 0.2, 1.2), (0.5, 0.0, 0.9))),
        quat=np.array(((0.0, 0, 0, 0), (2.0, 0, 0, 0))),
        seconds=np.array(4.0),
    )
    one, two = (load_keys(tmp_path / f"keys.{end}", layout, body) for end in ("yaml", "npz"))
    assert one.seconds == two.seconds == 4.0 and one.times.tolist() == [1.0, 2.0]
    for name in ("times", "features", "mask", "pos_w", "given"):
        assert torch.equal(getattr(one, name), getattr(two, name)), name
    torch.testing.assert_close(one.features[0, ROT], torch.tensor((1.0, 0, 0, 0, 1, 0)))


GOOD = KeyRow(time=1.0, body=ROOT, pos=(0.5, 0.0, 0.9), quat=(1.0, 0.0, 0.0, 0.0))
BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "none": (lambda: (), "no keyframes"),
    "before": (lambda: (replace(GOOD, time=-0.5),), "at -0.5 s is outside the motion"),
    "after": (lambda: (replace(GOOD, time=9.0),), "outside the motion, which lasts from 0 to 5 s"),
    "equal times": (lambda: (GOOD, replace(GOOD, pos=(0.6, 0.0, 0.9))), "of 'Pelvis' at 1 and 1 s"),
    "one frame": (lambda: (GOOD, replace(GOOD, time=1.01)), "0.04 s or more apart"),
    "unknown body": (lambda: (replace(GOOD, body="Pelvic"),), "did you mean 'Pelvis'?"),
    "too fast": (lambda: (GOOD, replace(GOOD, time=2.0, pos=(20.0, 0.0, 0.9))), "move at 19.5 m/s"),
    "too high": (lambda: (replace(GOOD, pos=(0.0, 0.0, 5.0)),), "height 5.00 m is out of reach"),
    "too far": (lambda: (GOOD, KeyRow(time=1.0, body=HAND, pos=(2.0, 0.0, 0.9))), "1.50 m apart"),
    "nan": (lambda: (replace(GOOD, pos=(math.nan, 0.0, 0.9)),), "not finite"),
    "nan time": (lambda: (replace(GOOD, time=math.nan),), "not finite"),
    "no rotation": (lambda: (replace(GOOD, quat=(0.0, 0.0, 0.0, 0.0)),), "is no rotation"),
    "turned hand": (lambda: (replace(GOOD, body=HAND),), "only 'Pelvis', the root"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_what_nobody_can_do_is_refused_in_one_line(kind: str, body: Embodiment, layout: Layout) -> None:
    rows, message = BAD[kind]
    with pytest.raises(InputError) as caught:
        keys_of_rows(KeyFile(keyframes=rows(), seconds=5.0), layout, body, "keys.yaml")
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert str(caught.value).startswith("keys.yaml: ")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("keys.yaml", "keyframes: [{time: 1.0, bodi: Pelvis, pos: [0, 0, 1]}]", "key 'keyframes[0].bodi'"),
        ("keys.yaml", "keyframes: [{time: 1.0, body: Pelvis, pos: [0, 1]}]", "must be a list of 3"),
        ("keys.yaml", "keyframes: [{time: .nan, body: Pelvis, pos: [0, 0, 1]}]", "not finite"),
        ("keys.yaml", "seconds: .nan\nkeyframes: [{time: 1, body: Pelvis, pos: [0, 0, 1]}]", "is nan"),
        ("keys.yaml", "keyframes: [{time: 0.004, body: Pelvis, pos: [0, 0, 1]}]", "lasts 0.04 s or more"),
        ("keys.txt", "", "are read from .yaml, .yml and .npz"),
        ("keys.npz", "nothing", "not a readable npz"),
    ],
)  # fmt: skip
def test_a_malformed_file_is_refused_in_one_line(
    name: str, text: str, message: str, body: Embodiment, layout: Layout, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        load_keys(tmp_path / name, layout, body)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_arrays_of_other_shapes_and_files_that_are_not_there_are_refused(
    body: Embodiment, layout: Layout, tmp_path: Path
) -> None:
    arrays = {"time": np.ones(1), "body": np.array([ROOT]), "pos": np.zeros((1, 2))}
    np.savez(tmp_path / "keys.npz", **arrays)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"'pos'.*\(1, 2\).*\(1, 3\)"):
        load_keys(tmp_path / "keys.npz", layout, body)
    with pytest.raises(InputError, match=r"other\.npz"):
        load_keys(tmp_path / "other.npz", layout, body)


def test_states_that_are_no_numbers_are_refused(body: Embodiment, layout: Layout, squat: Motion) -> None:
    times = torch.tensor((0.0, 1.0))
    states = squat.at(times)
    states.body_pos_w[1, 0, 0] = math.nan
    with pytest.raises(InputError, match="clip: .* 1 s"):
        keys_of_states(times, states, 2.0, layout, body)


def test_keyframes_move_to_a_device(body: Embodiment, layout: Layout) -> None:
    keys = keys_of_rows(KeyFile(keyframes=(GOOD,)), layout, body).to("meta")
    assert isinstance(keys, KeyPoses) and keys.features.is_meta and keys.given.is_meta
