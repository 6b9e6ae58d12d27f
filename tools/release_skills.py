"""Release stages of latent skills, rollouts and planner.

Each uses the shipped checkpoints of the stages before: skills the tracker, rollouts both, the planner
the skills. The planner is measured and shipped in half precision; the skills keep full precision,
since latents are identified by the digest of the weights.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from humanoid.core.config import load_config
from humanoid.core.errors import InputError, MismatchError
from humanoid.core.paths import data_dir, data_file
from humanoid.diffusion import train as training
from humanoid.diffusion.model import DiffusionModel
from humanoid.diffusion.shards import INDEX, read_header
from humanoid.eval.config import LatentEvalCfg
from humanoid.eval.latent import evaluate
from humanoid.eval.tasks import GuideCfg, guide
from humanoid.motion.edit import MIRRORED
from humanoid.nn.checkpoint import Checkpoint, digest, read_torch
from humanoid.rl.checkpoints import CHECKPOINT
from humanoid.scripts import collect
from humanoid.scripts import train_planner as train_diffusion
from humanoid.scripts import train_skills as train_latent
from humanoid.skills.skills import KIND
from tools.release_stage import Piece, Progress, ReleaseCfg, Stage, device_of, learned
from tools.release_tracker import of_samples, samples

HALVED = "half.pt"
"""The planner in half precision, as measured and shipped."""
MADE = ("medley", "stroll")
"""Kinds of motions that are made of others, and how their names begin."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class LatentStage(Stage):
    """Latent skills, distilled from the shipped tracker."""

    measures: tuple[str, ...] = ("student",)
    needs: tuple[str, ...] = ("walker.pt",)

    def configure(
        self, index: int, piece: Piece, before: str, cfg: ReleaseCfg
    ) -> train_latent.TrainLatentCfg:
        """See :meth:`Stage.configure`."""
        return _configured(train_latent.TrainLatentCfg, self, piece, _performed(cfg))

    def train(self, config: train_latent.TrainLatentCfg, runs: str) -> Progress:
        """See :meth:`Stage.train`.

        Raises:
            MismatchError: the run has a teacher that is not shipped any more.
        """
        path = Path(runs) / config.name / CHECKPOINT
        if path.is_file():
            made_with, shipped = Checkpoint.load(path, KIND).header.parent, _shipped("walker.pt")
            if made_with != shipped:
                raise MismatchError(
                    f"{path.parent}: distilled from a tracker of digest {made_with}, the one that ships "
                    f"has {shipped}; remove the folder to distil anew"
                )
        if samples(path, KIND) < config.samples:
            train_latent.main(config, runs)
        return of_samples(samples(path, KIND), config.samples)

    def finish(self, folder: Path) -> Path:
        """See :meth:`Stage.finish`."""
        return Checkpoint.load(folder / CHECKPOINT, KIND).path

    def measure(self, what: str, sim: str, product: Path, cfg: ReleaseCfg) -> dict[str, Any]:
        """See :meth:`Stage.measure`."""
        asked = LatentEvalCfg(
            checkpoint=str(product),
            motions=cfg.motions,
            sim=sim,
            device=device_of(sim),
            starts=cfg.starts,
            falls=cfg.episodes,
        )
        with redirect_stdout(sys.stderr):
            result = evaluate(asked)
        found = {**result, "checkpoint": f"humanoid/pretrained/{self.output}"}
        for who, name in (("teacher", "walker.pt"), ("student", self.output)):
            found[who] = {**result[who], "checkpoint": f"humanoid/pretrained/{name}"}
        return found

    def content(self, product: Path, on_gpu: bool) -> dict[str, Any]:
        """Return the checkpoint, which names what the skills perform on machines without the other sets."""
        content = read_torch(product)
        header, perform = content["header"], content["header"]["config"]["perform"]
        clips = [] if on_gpu else list(self.cpu_shows)
        shown = {"motions": self.motions, "clips": clips, "split": "", "weights": {}}
        alone = {"mirror": False, "tempos": [], "medley": {**perform["medley"], "count": 0}}
        config = {**header["config"], "perform": {**perform, **shown, **alone}, "teacher": ""}
        return {**content, "header": {**header, "config": config}}

    def facts(self, product: Path) -> dict[str, Any]:
        """See :meth:`Stage.facts`."""
        header = Checkpoint.load(product, KIND).header
        return {
            "learned": _learned(header.config["perform"]),
            "samples": header.samples,
            "train_seconds": round(header.seconds),
        }


@dataclass(frozen=True, kw_only=True)
class RolloutStage(Stage):
    """Rollouts of the shipped skills; a folder that the planner learns from, nothing ships."""

    output: str = ""
    measures: tuple[str, ...] = ("rollouts",)
    needs: tuple[str, ...] = ("walker.pt", "latent.pt")

    def configure(self, index: int, piece: Piece, before: str, cfg: ReleaseCfg) -> collect.RecordCfg:
        """See :meth:`Stage.configure`."""
        return _configured(collect.RecordCfg, self, piece, _performed(cfg))

    def train(self, config: collect.RecordCfg, runs: str) -> Progress:
        """See :meth:`Stage.train`."""
        done = collect.main(config, runs)
        return Progress(done["shards"], done["of"], f"{done['shards']} of {done['of']} shards")

    def finish(self, folder: Path) -> Path:
        """See :meth:`Stage.finish`."""
        read_header(folder)  # says so where nothing is recorded
        return folder / INDEX

    def sims(self, what: str, cfg: ReleaseCfg) -> tuple[str, ...]:
        """Return the simulator that has recorded."""
        return (read_header(self.folder(cfg.runs)).collection["sim"]["backend"],)

    def measure(self, what: str, sim: str, product: Path, cfg: ReleaseCfg) -> dict[str, Any]:
        """See :meth:`Stage.measure`."""
        header, frames = read_header(product.parent), _frames(product)
        begun = len(frames) * header.collection["num_envs"]
        return {
            "kept": round(sum(count for count, _ in frames) / max(begun, 1), 4),
            "hours": round(sum(count * length for count, length in frames) * header.dt / 3600, 3),
            "rollouts": sum(count for count, _ in frames),
            "shards": len(frames),
        }

    def content(self, product: Path, on_gpu: bool) -> dict[str, Any]:
        """Return nothing, for nothing ships."""
        return {}

    def facts(self, product: Path) -> dict[str, Any]:
        """See :meth:`Stage.facts`; samples are frames."""
        recorded = read_header(product.parent).collection["perform"]
        return {
            "learned": _learned(recorded),
            "samples": sum(count * length for count, length in _frames(product)),
        }


@dataclass(frozen=True, kw_only=True)
class DiffusionStage(Stage):
    """The planner of the shipped skills, measured on guided tasks with and without guidance."""

    measures: tuple[str, ...] = ("joystick", "waypoint", "forest", "inbetween", "perturb", "joystick+forest")
    needs: tuple[str, ...] = ("latent.pt",)
    rollouts: RolloutStage
    """Motions to learn from."""

    def configure(
        self, index: int, piece: Piece, before: str, cfg: ReleaseCfg
    ) -> train_diffusion.TrainDiffusionCfg:
        """See :meth:`Stage.configure`."""
        data = f"data='{self.rollouts.folder(cfg.runs)}'"
        return _configured(train_diffusion.TrainDiffusionCfg, self, piece, [data])

    def train(self, config: train_diffusion.TrainDiffusionCfg, runs: str) -> Progress:
        """See :meth:`Stage.train`.

        Raises:
            InputError: there are no rollouts, or not as many as there shall be.
            MismatchError: they are of skills that are not shipped any more.
        """
        if not self.rollouts.card(runs).is_file():
            stage = self.rollouts.name
            raise InputError(f"{config.data}: no finished rollouts; run stage '{stage}' first")
        recorded, shipped = read_header(config.data).latent, _shipped("latent.pt")
        if recorded != shipped:
            raise MismatchError(
                f"{config.data}: rollouts of skills of digest {recorded}, those that ship have {shipped}; "
                "remove the folder to record anew"
            )
        progress = self._progress(config, runs)
        if not progress.finished:
            train_diffusion.main(config, runs)
        return self._progress(config, runs)

    def finish(self, folder: Path) -> Path:
        """See :meth:`Stage.finish`."""
        DiffusionModel.load(folder / training.CHECKPOINT).save(folder / HALVED, half=True)
        return folder / HALVED

    def measure(self, what: str, sim: str, product: Path, cfg: ReleaseCfg) -> dict[str, Any]:
        """See :meth:`Stage.measure`. Bodies start anywhere in the clips that the planner learned."""
        with redirect_stdout(sys.stderr):
            result = guide(guide_cfg(what, sim, product, _clips(product), cfg))
        names = {"latent": "humanoid/pretrained/latent.pt", "diffusion": f"humanoid/pretrained/{self.output}"}
        return {**result, **names, "unguided": {**result["unguided"], **names}}

    def content(self, product: Path, on_gpu: bool) -> dict[str, Any]:
        """Return the checkpoint; of the folder that it learned from it keeps the name."""
        content = read_torch(product)
        header, config = content["header"], content["header"]["config"]
        return {**content, "header": {**header, "config": {**config, "data": Path(config["data"]).name}}}

    def facts(self, product: Path) -> dict[str, Any]:
        """See :meth:`Stage.facts`."""
        header = DiffusionModel.load(product).header
        clips = header.details["clips"]
        return {
            "learned": {
                "rollouts": Path(header.config["data"]).name,
                "clips": _clips(product),
                **{f"{kind}s": sum(name.startswith(kind) for name in clips) for kind in MADE},
                "preset": header.config["preset"],
            },
            "samples": header.samples,
            "train_seconds": round(header.seconds),
        }

    def _progress(self, config: train_diffusion.TrainDiffusionCfg, runs: str) -> Progress:
        """Return how far the run is, by steps or by time, whichever is nearer to its end."""
        path = Path(runs) / config.name / training.CHECKPOINT
        header = DiffusionModel.load(path).header if path.is_file() else None
        step, seconds = (header.iteration, header.seconds) if header else (0, 0.0)
        budget = training.TrainerBudget(steps=config.steps, total_minutes=config.total_minutes)
        limits = [f"{step} of {config.steps} steps"] * bool(config.steps)
        limits += [f"{seconds / 60:.1f} of {config.total_minutes:g} minutes"] * bool(config.total_minutes)
        return Progress(budget.done(step, seconds), 1.0, ", ".join(limits))


def guide_cfg(task: str, sim: str, product: Path, learned_clips: Iterable[str], cfg: ReleaseCfg) -> GuideCfg:
    """Return the evaluation of a planner, started in the captured clips that it learned from."""
    clips = [name for name in learned_clips if "/" in name and not name.endswith(MIRRORED)]
    sets = dict.fromkeys(name.partition("/")[0] for name in clips)
    return GuideCfg(
        latent=str(data_dir("pretrained") / "latent.pt"),
        diffusion=str(product),
        task=task,
        n=cfg.episodes,
        motions=cfg.motions or tuple(sets),
        clips=() if cfg.motions else tuple(clips),
        sim=sim,
        device=device_of(sim),
    )


def _configured(cls: type[T], stage: Stage, piece: Piece, extra: Iterable[str]) -> T:
    """Return the configuration of a stage's only piece, whose run is ``release_STAGE``."""
    overrides = [f"name={stage.folder('').name}", *piece.overrides, *extra]
    return load_config(cls, data_file("cfg", piece.config), overrides)


def _performed(cfg: ReleaseCfg) -> list[str]:
    """Return the overrides that put folders in the place of manifests."""
    if not cfg.motions:
        return []
    given = f"perform.motions=[{','.join(cfg.motions)}]"
    return [given, "perform.clips=[]", "perform.split=''", "perform.mirror=false"]


def _learned(perform: dict[str, Any]) -> dict[str, Any]:
    made = {f"{kind}s": perform.get(kind, {}).get("count", 0) for kind in MADE}
    return {**learned(perform), **made}


def _clips(planner: Path) -> list[str]:
    """Return the captured clips that a planner learned from."""
    clips = DiffusionModel.load(planner).header.details["clips"]
    return [name for name in clips if not name.startswith(MADE)]


def _shipped(name: str) -> str:
    """Return the digest of a shipped checkpoint's weights."""
    return digest(data_dir("pretrained") / name)


def _frames(index: Path) -> list[tuple[int, int]]:
    """Return the number of rollouts and the frames of each, of every shard."""
    return [(shard["rollouts"], shard["frames"]) for shard in json.loads(index.read_text())["shards"]]
