"""Conversion of many files: names, summary, what is skipped, what fails, what is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from humanoid.bodies import Embodiment
from humanoid.core import ConfigError, InputError
from humanoid.datasets import SourceFile, resolve
from humanoid.datasets.convert import ConversionCfg, convert
from humanoid.mocap import Clip
from humanoid.motion import Motion
from humanoid.retarget import RetargetCfg, retarget_all
from humanoid.scripts.convert import grouped, main, table
from humanoid.scripts.verbs import ConvertCfg
from tests import synth

SHORT = RetargetCfg(min_seconds=0.5)
ROW = {"file", "clip", "frames", "fps", "error_mm", "skate_mm", "penetration_mm"}


def take(path: Path, seconds: float = 0.4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    synth.write(synth.squat(seconds=seconds), path)
    return path


def converted(
    out: Path, *sources: Path | str, retarget: RetargetCfg = SHORT, group_bytes: int = 1 << 18, **changes: Any
) -> dict[str, Any]:
    cfg = ConvertCfg(sources=tuple(map(str, sources)), out=str(out), workers=1)
    return main(replace(cfg, **changes), retarget, group_bytes)


def clips(result: dict[str, Any], key: str = "converted") -> list[str]:
    return [row["clip"] for row in result[key]]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_with_its_subfolders(tmp_path: Path) -> None:
    take(tmp_path / "in" / "a.txt")
    take(tmp_path / "in" / "deep" / "b.txt")
    take(tmp_path / "in" / ".hidden" / "c.txt")
    for name in ("README.txt", "LICENCE.txt", "SHA256SUMS", "picture.png"):
        (tmp_path / "in" / name).write_text("no capture")
    result = converted(tmp_path / "out", tmp_path / "in")
    assert clips(result) == ["a", "b"] and result["failed"] == [] and result["skipped"] == []
    assert all(set(row) == ROW for row in result["converted"])
    assert result["frames_per_s"] > 0 and json.loads(json.dumps(result)) == result
    assert files(tmp_path / "out") == ["a.npz", "b.npz"]
    motion = Motion.load(tmp_path / "out" / "a.npz")
    row = result["converted"][0]
    assert (motion.name, motion.num_frames, motion.fps) == ("a", row["frames"], row["fps"])
    assert motion.provenance["error_mm"] == row["error_mm"] and motion.provenance["embodiment"] == "smpl"
    assert "2 converted, 0 were there, 0 failed" in table(result)


def test_bad_files_stop_no_other(tmp_path: Path) -> None:
    for name in ("a", "z"):
        take(tmp_path / "in" / f"{name}.txt")
    (tmp_path / "in" / "m.txt").write_text('{"Loop": "none", "Frames": [[0.1')
    (tmp_path / "in" / "n.npz").write_bytes(b"PK\x03\x04 nothing")
    result = converted(tmp_path / "out", tmp_path / "in")
    assert clips(result) == ["a", "z"]
    assert [Path(row["file"]).name for row in result["failed"]] == ["m.txt", "n.npz"]
    for row in result["failed"]:
        assert row["error"] and "\n" not in row["error"] and row["file"] not in row["error"]
    assert "m.txt: " in table(result) and "2 failed" in table(result)
    assert files(tmp_path / "out") == ["a.npz", "z.npz"]


def test_a_clip_that_breaks_the_batch_fails_alone(tmp_path: Path) -> None:
    """Even by a bug: an error that is none of ours."""

    def breaks(clips: Sequence[Clip], body: Embodiment, cfg: RetargetCfg) -> list[Motion]:
        if any(clip.name == "b" for clip in clips):
            raise RuntimeError("a bug\nof two lines")
        return retarget_all(clips, body, cfg)

    (tmp_path / "out").mkdir()
    sources = tuple(str(take(tmp_path / f"{name}.txt")) for name in "abc")
    cfg = ConversionCfg(out=str(tmp_path / "out"), retarget=SHORT)
    results = convert(resolve(sources)[0], cfg, breaks)
    assert [(result.name, result.failed) for result in results] == [("a", False), ("b", True), ("c", False)]
    assert results[1].row["error"] == "RuntimeError: a bug of two lines"


def test_what_is_there_is_skipped(tmp_path: Path) -> None:
    file, out = take(tmp_path / "a.txt"), tmp_path / "out"

    def again(**changes: Any) -> bool:
        result = converted(out, file, **changes)
        assert len(result["converted"]) + len(result["skipped"]) == 1
        return bool(result["converted"])

    assert again()
    assert not again()
    assert again(force=True)
    assert again(rate=30.0) and not again(rate=30.0)
    assert again()
    os.utime(file, ns=(time.time_ns() + 10**9,) * 2)
    assert again(), "the file is newer"
    os.utime(file, ns=(time.time_ns() - 10**12,) * 2)
    assert again() is False
    (out / "a.npz").write_bytes((out / "a.npz").read_bytes()[:500])
    assert again(), "half a file is no motion"
    assert clips(converted(out, file), "skipped") == ["a"]


def test_names_that_clash(tmp_path: Path) -> None:
    take(tmp_path / "in" / "one" / "walk.txt")
    take(tmp_path / "in" / "two" / "Walk.txt")
    take(tmp_path / "in" / "two" / "run.txt")
    jobs, _ = resolve([str(tmp_path / "in")])
    assert sorted(job.name for job in jobs) == ["one_walk", "run", "two_Walk"]
    take(tmp_path / "in" / "one" / "walk.json")
    jobs, _ = resolve([str(tmp_path / "in")])
    assert sorted(job.name for job in jobs) == ["one_walk_json", "one_walk_txt", "run", "two_Walk"]
    jobs, _ = resolve([str(tmp_path / "in" / "two"), str(tmp_path / "in" / "two" / "run.txt")])
    assert sorted(job.name for job in jobs) == ["Walk", "run"], "a file named twice is one file"
    take(tmp_path / "other" / "two" / "run.txt")
    with pytest.raises(InputError, match="two_run_txt"):
        resolve([str(tmp_path / "in" / "two"), str(tmp_path / "other")])


def manifest(folder: Path, *clips: str) -> str:
    path = folder / "set.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "name: set\nsource: a test\nlicence: free\nclips:\n" + "".join(f"  - {{{c}}}\n" for c in clips)
    )
    return str(path)


def test_a_manifest_names_its_clips(tmp_path: Path) -> None:
    take(tmp_path / "takes" / "x.txt", seconds=0.3)
    source = manifest(
        tmp_path / "takes",
        "name: squat, file: x.txt, loop: false, tags: [down]",
        "name: loop, file: x.txt, loop: true, tags: [down], split: test",
        "name: gone, file: gone.txt",
    )
    result = converted(tmp_path / "out", source)
    assert clips(result) == ["squat", "loop"]
    (row,) = result["failed"]
    assert row["file"] == "gone.txt" and "names the missing file" in row["error"]
    squat, loop = (Motion.load(tmp_path / "out" / f"{name}.npz") for name in ("squat", "loop"))
    assert squat.duration < 0.4 < loop.duration, "the manifest says what repeats"
    assert squat.provenance["source"] == "set/x.txt: a test" and squat.provenance["licence"] == "free"
    assert clips(converted(tmp_path / "test", source, split="test")) == ["loop"]
    assert clips(converted(tmp_path / "one", source, clips=("clip:squat",))) == ["squat"]


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a/b", "a\\\\b", ".x", "..", "C:x", "a\\nb"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    take(tmp_path / "x.txt")
    with pytest.raises(InputError, match="file"):
        converted(tmp_path / "out", manifest(tmp_path, f'name: "{name}", file: x.txt'))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set.yaml", "x.txt"]


def test_the_output_is_not_read_again(tmp_path: Path) -> None:
    take(tmp_path / "a.txt")
    assert clips(converted(tmp_path / "out", tmp_path)) == ["a"]
    assert clips(converted(tmp_path / "out", tmp_path), "skipped") == ["a"]


def test_a_motion_of_the_same_body_is_kept(body: Embodiment, tmp_path: Path) -> None:
    converted(tmp_path / "one", take(tmp_path / "a.txt"))
    result = converted(tmp_path / "two", tmp_path / "one")
    assert clips(result) == ["a"]
    one, two = (Motion.load(tmp_path / folder / "a.npz").for_body(body) for folder in ("one", "two"))
    assert torch.equal(one.states.joint_pos, two.states.joint_pos)
    assert torch.equal(one.contact, two.contact)


def test_a_motion_of_another_body_is_put_on_this_one(tmp_path: Path) -> None:
    converted(tmp_path / "one", take(tmp_path / "a.txt"))
    result = converted(tmp_path / "two", tmp_path / "one", embodiment="smpl_ball")
    assert clips(result) == ["a"] and result["failed"] == []
    assert len(Motion.load(tmp_path / "two" / "a.npz").joint_names) == 69


def test_misuse(tmp_path: Path) -> None:
    file = take(tmp_path / "a.txt")
    wrong: list[tuple[str, Callable[[], object]]] = [
        ("capture file", lambda: converted(tmp_path / "out")),
        ("--out DIR", lambda: main(ConvertCfg(sources=(str(file),), out=""))),
        ("--out", lambda: converted(file, file)),
        ("no such motion file", lambda: converted(tmp_path / "out", tmp_path / "none.txt")),
        ("no such file, nor a shipped one", lambda: converted(tmp_path / "out", "none")),
        ("no motion or capture", lambda: converted(tmp_path / "out", (tmp_path / "empty"))),
        ("'smlp' is unknown", lambda: converted(tmp_path / "out", file, embodiment="smlp")),
        ("g2", lambda: converted(tmp_path / "out", file, made_for="g2")),
        (
            "no such skeleton map",
            lambda: converted(tmp_path / "out", file, map="x"),
        ),
    ]
    with pytest.raises(ConfigError, match="workers"):
        converted(tmp_path / "out", file, workers=-1)
    (tmp_path / "empty").mkdir()
    for message, call in wrong:
        with pytest.raises(InputError, match=message) as error:
            call()
        assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_groups_hold_every_file_once_and_are_of_like_size(tmp_path: Path) -> None:
    jobs = []
    for index in range(50):
        path = tmp_path / f"{index}.txt"
        path.write_bytes(bytes(20_000 * (1 + index % 7)))
        jobs.append(SourceFile(file=path, name=str(index)))
    groups = grouped(jobs, 2)
    assert sorted(job.name for group in groups for job in group) == sorted(job.name for job in jobs)
    sizes = [sum(job.file.stat().st_size for job in group) for group in groups]
    assert 4 <= len(groups) <= 20 and max(sizes) <= 800_000
    assert len(grouped(jobs, 10_000)) <= 50


@pytest.mark.slow
def test_worker_processes_agree_with_this_one(tmp_path: Path) -> None:
    for index in range(3):
        take(tmp_path / "in" / f"{index}.txt", seconds=0.4 + 0.1 * index)
    (tmp_path / "in" / "bad.txt").write_text("{")
    result = converted(tmp_path / "out", tmp_path / "in", retarget=RetargetCfg(), workers=2, group_bytes=1)
    assert clips(result) == ["0", "1", "2"] and len(result["failed"]) == 1
    converted(tmp_path / "here", tmp_path / "in", retarget=RetargetCfg())
    for index in range(3):
        one, two = (Motion.load(tmp_path / folder / f"{index}.npz") for folder in ("out", "here"))
        torch.testing.assert_close(one.states.joint_pos, two.states.joint_pos, atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_leaves_no_half_written_file(tmp_path: Path, workers: str) -> None:
    for index in range(60):
        take(tmp_path / "in" / f"{index}.txt", seconds=20.0)
    out = tmp_path / "out"
    words = ["motions", "convert", str(tmp_path / "in"), "--out", str(out), "--workers", workers]
    process = subprocess.Popen([sys.executable, "-m", "humanoid", *words], stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 200
    while (
        not (out.is_dir() and any(out.glob("[!.]*.npz")))
        and time.monotonic() < end
        and process.poll() is None
    ):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and said.splitlines()[-1] == "interrupted"
    names = files(out)
    assert names and all(name.endswith(".npz") and not name.startswith(".") for name in names)
    for name in names:
        Motion.load(out / name)
