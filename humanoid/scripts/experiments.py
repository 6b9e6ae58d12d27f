"""``humanoid train`` and ``humanoid collect``: run what a YAML file and assignments describe."""

from __future__ import annotations

from typing import Any

from humanoid.core.config import load_config
from humanoid.core.paths import data_file
from humanoid.scripts.verbs import CollectionCfg, TrainingCfg


def train(cfg: TrainingCfg) -> None:
    """Train a tracker, latent skills or a planner.

    Raises:
        HumanoidError: a configuration, motion, checkpoint or device that cannot be used.
    """
    path = data_file("cfg", cfg.config or cfg.what)
    if cfg.what == "track":
        from humanoid.scripts import train_tracker

        train_tracker.main(load_config(train_tracker.TrainCfg, path, cfg.overrides), cfg.runs)
    elif cfg.what == "latent":
        from humanoid.scripts import train_skills

        train_skills.main(load_config(train_skills.TrainLatentCfg, path, cfg.overrides), cfg.runs)
    else:
        from humanoid.scripts import train_planner

        train_planner.main(load_config(train_planner.TrainDiffusionCfg, path, cfg.overrides), cfg.runs)


def collect(cfg: CollectionCfg) -> dict[str, Any]:
    """Record rollouts; see :func:`humanoid.scripts.collect.main`."""
    from humanoid.scripts.collect import RecordCfg, main

    return main(load_config(RecordCfg, data_file("cfg", cfg.config), cfg.overrides), cfg.runs)
