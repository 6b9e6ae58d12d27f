"""Run folders: nothing half-written, everything that reproduces a run recorded."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from humanoid.core import InputError, load_config, runs


@dataclass(frozen=True, kw_only=True)
class SmallCfg:
    """A configuration."""

    rate: float = 1e-3
    sizes: tuple[int, ...] = (2, 3)


class Unpicklable:
    """Fails while it is being saved."""

    def __reduce__(self) -> tuple:
        """Refuse."""
        raise RuntimeError("cannot be saved")


def test_a_write_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    runs.atomic_write_text(path, "old")
    runs.atomic_write_text(path, "nëw")
    assert path.read_text(encoding="utf-8") == "nëw"
    assert list(path.parent.iterdir()) == [path]


def test_a_failing_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    runs.atomic_save({"step": torch.tensor(1)}, path)
    with pytest.raises(RuntimeError, match="cannot be saved"):
        runs.atomic_save({"step": torch.zeros(100_000), "bad": Unpicklable()}, path)
    assert torch.load(path, weights_only=True)["step"] == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_raises_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "movie.mp4"
    path.write_bytes(b"old")

    def write() -> None:
        with runs.atomic_path(path) as temporary:
            assert temporary.suffix == ".mp4"
            assert temporary.parent == tmp_path
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_new_file_has_ordinary_permissions(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain", tmp_path / "atomic"
    plain.write_text("x")
    runs.atomic_write_text(path, "x")
    assert path.stat().st_mode == plain.stat().st_mode


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(InputError) as caught:
            runs.open_run(folder)
        assert str(folder) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_refused_at_the_start(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot write"):
        runs.open_run(tmp_path / "run")


def test_opening_a_run_again_keeps_its_files_and_removes_leftovers(tmp_path: Path) -> None:
    folder = runs.open_run(tmp_path / "runs" / "one")
    assert list(folder.iterdir()) == []
    (folder / "checkpoint.pt").write_text("weights")
    for name in (".checkpoint.123.tmp.pt", ".notes.7.tmp", ".page.tmpl", ".tmp"):
        (folder / name).write_text("half")
    runs.open_run(folder)
    assert sorted(path.name for path in folder.iterdir()) == [".page.tmpl", ".tmp", "checkpoint.pt"]


def test_the_config_of_a_run_is_a_config_and_records_seed_and_versions(tmp_path: Path) -> None:
    cfg = SmallCfg(rate=0.25, sizes=(5,))
    path = runs.write_config(tmp_path, cfg, seed=17)
    assert load_config(SmallCfg, path) == cfg
    text = path.read_text()
    assert "seed: 17" in text
    assert f"torch: {version('torch')}" in text
    assert "python: " in text


HOLDER = """
import os, sys, time
from humanoid.core.runs import claim_run
with claim_run(sys.argv[1]):
    print(os.getpid(), flush=True)
    time.sleep(60)
"""


def test_a_folder_that_another_process_writes_is_refused_until_it_ends(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert holder.stdout is not None
    pid = int(holder.stdout.readline())
    try:
        (folder / ".checkpoint.1.tmp.pt").write_text("being written")
        with pytest.raises(InputError, match=f"process {pid}"), runs.claim_run(folder):
            pass
        assert (folder / ".checkpoint.1.tmp.pt").exists()
    finally:
        holder.kill()
        holder.wait()
    with runs.claim_run(folder):  # the kernel has freed it
        assert not (folder / ".checkpoint.1.tmp.pt").exists()
        with pytest.raises(InputError, match=f"process {os.getpid()}"), runs.claim_run(folder):
            pass


def test_a_claim_leaves_what_the_block_wrote_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "one"
    with pytest.raises(RuntimeError, match="wrong motions"), runs.claim_run(folder):
        raise RuntimeError("wrong motions")
    assert list(tmp_path.iterdir()) == []
    with runs.claim_run(folder):
        (folder / "checkpoint.pt").write_text("weights")
    assert [path.name for path in folder.iterdir()] == ["checkpoint.pt"]
    with runs.claim_run(folder):
        pass
    assert (folder / "checkpoint.pt").exists()


def test_a_claim_on_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "run", Path("/proc/run")):
        with pytest.raises(InputError) as caught, runs.claim_run(folder):
            pass
        assert str(folder) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_claim_on_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot write"), runs.claim_run(tmp_path / "run"):
        pass


def test_a_full_disk_is_told_in_numbers_and_leaves_nothing(tmp_path: Path) -> None:
    runs.require_space(tmp_path, 5_000_000, free=5_000_000)
    with pytest.raises(InputError, match="4 MB.* 5 MB"):
        runs.require_space(tmp_path, 5_000_000, free=4_000_000)
    with pytest.raises(InputError, match="MB"), runs.claim_run(tmp_path / "run", needed=10**18):
        pass
    assert list(tmp_path.iterdir()) == []
