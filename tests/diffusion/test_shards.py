"""Rollouts on disk: what is written is read, a folder goes on, damage is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from humanoid.bodies import Embodiment
from humanoid.core import InputError, MismatchError
from humanoid.diffusion import Layout, ShardHeader, ShardWriter, load_rollouts, read_header
from humanoid.diffusion.shards import INDEX
from tests.diffusion.wave import FRAMES, LAYOUT, header, rollouts, write


def test_what_is_written_is_read(tmp_path: Path) -> None:
    found, a, b = load_rollouts(write(tmp_path)), rollouts(seed=0), rollouts(seed=1)
    assert torch.equal(found.states, torch.cat((a.states, b.states)))
    assert torch.equal(found.latents, torch.cat((a.latents, b.latents)))
    assert torch.equal(found.clip, torch.cat((a.clip, b.clip))) and found.clips == a.clips
    assert read_header(tmp_path) == header()


def test_a_folder_goes_on_after_a_kill(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "shard_00002.pt").write_bytes(b"written by a process that died before the index")
    writer = ShardWriter(tmp_path, header())
    assert (writer.num_shards, writer.num_rollouts) == (2, 24)
    assert writer.add(rollouts(count=5, seed=2)).name == "shard_00002.pt"
    assert load_rollouts(tmp_path).states.shape[0] == 29


def test_a_header_describes_a_body_and_its_layout(body: Embodiment) -> None:
    layout = Layout.of(body)
    made = ShardHeader.of(layout, body, 32, "digest", ("walk",))
    assert made.make_layout(layout.cfg).names() == layout.names()
    assert made.body == body.signature()
    with pytest.raises(MismatchError, match=r"trajectory\.dt.*0\.04"):
        made.make_layout(replace(layout.cfg, dt=0.02))
    with pytest.raises(MismatchError, match=r"layout\[1\] is 'height'"):
        replace(header(), layout=("root_pos_x", "height", *LAYOUT.names()[2:])).make_layout(FRAMES)


def test_another_header_is_refused_naming_the_first_difference(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(MismatchError, match=r"header\.body\.kp\[1\]"):
        ShardWriter(tmp_path, replace(header(), body={**header().body, "kp": [1.0, 3.0]}))
    with pytest.raises(MismatchError, match=r"header\.latent.*0123456789abcdef"):
        ShardWriter(tmp_path, replace(header(), latent="f00"))
    with pytest.raises(MismatchError, match=r"header\.clips"):
        ShardWriter(tmp_path, replace(header(), clips=("walk",)))


def test_rollouts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    writer, good = ShardWriter(tmp_path, header()), rollouts()
    writer.add(good)
    bad = good.states.clone()
    bad[3, 4, 5] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        writer.add(replace(good, states=bad))
    with pytest.raises(InputError, match="'latents' is"):
        writer.add(replace(good, latents=good.latents[..., :2]))
    with pytest.raises(InputError, match="names clip 2"):
        writer.add(replace(good, clip=good.clip + 1))
    with pytest.raises(MismatchError, match="clips"):
        writer.add(replace(good, clips=("walk", "run")))
    with pytest.raises(MismatchError, match="30 frames"):
        writer.add(rollouts(frames=30))
    assert writer.num_shards == 1 and load_rollouts(tmp_path).states.shape[0] == 12


def test_damage_is_refused(tmp_path: Path) -> None:
    shard = write(tmp_path) / "shard_00001.pt"
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"shard_00001.pt.*truncated"):
        load_rollouts(tmp_path)
    torch.save({"states": torch.zeros(1)}, shard)
    with pytest.raises(InputError, match="'states' is"):
        load_rollouts(tmp_path)
    shard.unlink()
    with pytest.raises(InputError, match="no such"):
        load_rollouts(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"header": {"root": "pelvis"}, "shards": []}',
        '{"header": {}, "shards": [1]}',
    ],
)
def test_an_index_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(InputError, match=INDEX):
        load_rollouts(tmp_path)


def test_a_folder_without_rollouts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=INDEX):
        read_header(tmp_path)
    (tmp_path / INDEX).write_text(json.dumps({"header": vars(header()), "shards": []}))
    with pytest.raises(InputError, match="rollouts"):
        load_rollouts(tmp_path)
