"""Tables, pages and files made of an evaluation's metrics."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from humanoid.core import InputError
from humanoid.eval.report import page, table, write_json, write_report

HOSTILE = '<script>alert("1")</script>|&'


def numbers(success: float = 1.0) -> dict[str, Any]:
    return {
        "success": success, "success_strict": 0.5, "survived": 0.9, "mpjpe_g_mm": 61.23,
        "mpjpe_l_mm": 33.33, "mpjpe_l_success_mm": 31.0, "vel_mm": 4.5, "acc_mm": 2.25,
    }  # fmt: skip


@pytest.fixture
def metrics() -> dict[str, Any]:
    """What ``humanoid eval track --json`` prints, with one clip of a hostile name."""
    clips = {
        "walk": {**numbers(), "seconds": 1.28},
        "cartwheel": {**numbers(0.125), "seconds": 2.7, "mpjpe_l_success_mm": None, "acc_mm": math.nan},
        HOSTILE: {**numbers(), "seconds": 0.5},
    }
    head = {"sim": "mujoco", "checkpoint": "a<b>.pt", "starts": 8, "seed": 3}
    return {**head, **numbers(0.7), "clips": clips}


@pytest.fixture
def curves() -> dict[str, dict[str, list[float]]]:
    time = [0.02 * step for step in range(1, 40)]
    return {name: {"time_s": time, "global_mm": time, "local_mm": time} for name in ("walk", "cartwheel")}


class Page(HTMLParser):
    """What a browser would see; it fails where tags are not closed in order."""

    VOID = frozenset({"meta", "img", "link", "br", "hr", "input", "source"})

    def __init__(self, text: str) -> None:
        """Parse a whole page."""
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag and what it loads."""
        self.tags.append(tag)
        self.sources += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Check that the tag closes the last one opened."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep the text as shown."""
        self.text += data + " "


def test_table_is_aligned_and_has_every_clip(metrics: dict[str, Any]) -> None:
    lines = table(metrics).splitlines()
    assert len(lines) == 2 + 3 + 1
    assert len({len(line) for line in lines}) == 1
    bars = [re.sub(r"\\\|", "xx", line) for line in lines]
    assert len({tuple(i for i, c in enumerate(line) if c == "|") for line in bars}) == 1
    first = [line.strip("| ").split(" | ")[0].strip() for line in lines]
    assert first[2:] == ["walk", "cartwheel", HOSTILE.replace("|", r"\|"), "all"]


def test_table_shows_rates_in_percent_and_a_dash_where_there_is_no_number(metrics: dict[str, Any]) -> None:
    row = [cell.strip() for cell in table(metrics).splitlines()[3].strip("|").split("|")]
    assert row == ["cartwheel", "2.7", "12", "50", "90", "61.2", "33.3", "-", "4.5", "-"]


def test_tags_have_rows_and_so_have_splits_where_there_are_both(metrics: dict[str, Any]) -> None:
    tags = {"walk": {"clips": 2, **numbers()}, "run|": {"clips": 1, **numbers(0.5)}}
    lines = table({**metrics, "tags": tags, "splits": {"train": {"clips": 3, **numbers()}}}).splitlines()
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines[6:]]
    assert [row[0] for row in cells] == ["tag walk (2)", r"tag run\| (1)"]
    assert cells[1][1:4] == ["-", "50", "50"]
    assert len({len(line) for line in lines}) == 1
    splits = {name: {"clips": 1, **numbers()} for name in ("test", "train")}
    lines = table({**metrics, "splits": splits}).splitlines()
    assert [line.split(" (")[0] for line in lines[6:]] == ["| split test", "| split train"]


def test_results_of_several_simulators_follow_each_other(metrics: dict[str, Any]) -> None:
    both = {"sims": {"mujoco": metrics, "genesis": metrics}, "spread": {"success": 0.0}}
    assert table(both) == f"mujoco\n\n{table(metrics)}\n\ngenesis\n\n{table(metrics)}"


def test_page_escapes_names(metrics: dict[str, Any], curves: dict[str, dict[str, list[float]]]) -> None:
    read = Page(page(metrics, curves, 'film".mp4'))
    assert "script" not in read.tags
    assert HOSTILE in read.text and "a<b>.pt" in read.text
    assert 'film".mp4' in read.sources


def test_page_needs_no_other_file_but_the_video(
    metrics: dict[str, Any], curves: dict[str, dict[str, list[float]]]
) -> None:
    text = page(metrics, curves, "demo.mp4")
    read = Page(text)
    assert [source for source in read.sources if not source.startswith("data:image/png")] == ["demo.mp4"]
    assert read.tags.count("img") == 2 and "url(" not in text and "http" not in text
    assert "prefers-color-scheme:dark" in text
    assert read.tags.count("tr") == 1 + 3 + 1


def test_page_without_video_and_curves(metrics: dict[str, Any]) -> None:
    read = Page(page(metrics))
    assert "video" not in read.tags and read.tags.count("img") == 1
    assert Page(page({**metrics, "clips": {}})).tags.count("img") == 0


def test_report_folder(
    tmp_path: Path, metrics: dict[str, Any], curves: dict[str, dict[str, list[float]]]
) -> None:
    written = write_report(tmp_path / "out", metrics, curves, "demo.mp4")
    assert written == tmp_path / "out" / "report.html"
    assert sorted(path.name for path in written.parent.iterdir()) == ["metrics.json", "report.html"]
    read = json.loads((written.parent / "metrics.json").read_text())
    assert read["clips"]["cartwheel"]["acc_mm"] is None  # NaN is not JSON
    assert read["clips"]["walk"] == metrics["clips"]["walk"]
    assert read["sim"] == "mujoco" and list(read)[:4] == ["sim", "checkpoint", "starts", "seed"]


def test_missing_keys_are_named_and_nothing_is_written(tmp_path: Path, metrics: dict[str, Any]) -> None:
    del metrics["clips"]["walk"]["vel_mm"]
    with pytest.raises(InputError, match="'walk'.*'vel_mm'"):
        write_report(tmp_path / "out", metrics)
    with pytest.raises(InputError, match="no 'sim'"):
        table({key: value for key, value in metrics.items() if key != "sim"})
    assert not list(tmp_path.iterdir())


def test_unwritable_folder_is_an_error_of_ours(tmp_path: Path, metrics: dict[str, Any]) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="file"):
        write_json(tmp_path / "file" / "metrics.json", metrics)
