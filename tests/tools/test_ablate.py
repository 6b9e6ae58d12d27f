"""Ablating: every variant is a configuration of its own, and the table has a row for each."""

from __future__ import annotations

import pytest

from humanoid.core import data_file, load_config
from humanoid.scripts.train_tracker import TrainCfg
from tools.ablate import COLUMNS, VARIANTS, AblateCfg, folder, table


def _config(name: str) -> TrainCfg:
    changes = [change.replace("{half}", "5e4") for change in VARIANTS[name]]
    return load_config(TrainCfg, data_file("cfg", "track_cpu"), [*AblateCfg().overrides, *changes])


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_differs_from_all_others_and_makes_sense(name: str) -> None:
    assert _config(name).task
    assert all(_config(other) != _config(name) for other in VARIANTS if other != name)


def test_variants_have_folders_of_their_own() -> None:
    names = {folder(AblateCfg(), name, 1).name for name in VARIANTS}
    assert len(names) == len(VARIANTS) and not any(" " in name or "," in name for name in names)


def test_the_table_has_mean_and_spread() -> None:
    runs = [dict.fromkeys(COLUMNS, value) for value in (0.5, 0.7)]
    lines = table({"baseline": runs, "other": runs[:1]}).splitlines()
    assert len(lines) == 4 and len({len(line) for line in lines}) == 1
    cells = [cell.strip() for cell in lines[2].split("|")[1:-1]]
    assert cells[:2] == ["baseline", "60.0 ± 14.1"] and cells[-1] == "0.6000 ± 0.1414"
    assert "±" not in lines[3]
