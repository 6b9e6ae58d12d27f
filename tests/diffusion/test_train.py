"""Training and its checkpoint on rollouts whose future follows from their past."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from humanoid.bodies import Embodiment
from humanoid.core import ConfigError, InputError, MismatchError
from humanoid.core.errors import TrainingError
from humanoid.diffusion import (
    Denoiser,
    DenoiserCfg,
    DiffusionModel,
    NoisingCfg,
    OptimCfg,
    Schedule,
    Trainer,
    TrainerBudget,
    TrainerProgress,
    Windows,
)
from humanoid.diffusion.train import CHECKPOINT, PARTS
from tests.diffusion.wave import LAYOUT, WIDTH, header, rollouts

TINY = DenoiserCfg(width=16, layers=2, heads=2, random_rows=5)
OPTIM = OptimCfg(batch=16, warmup_steps=4, autocast="none", validation_windows=8)


DETAILS = ("denoiser", "latent_width")
"""Values of the header's ``details`` that tests change."""


def trainer(folder: Path, cfg: DenoiserCfg = TINY, optim: OptimCfg = OPTIM, levels: int = 20) -> Trainer:
    torch.manual_seed(0)
    folder.mkdir(exist_ok=True)
    train, held_back = (Windows(rollouts(seed=seed), LAYOUT, torch.device("cpu")) for seed in (0, 1))
    denoiser, config = Denoiser(cfg, LAYOUT, WIDTH, levels), {"preset": "tiny"}
    return Trainer(denoiser, header(), train, held_back, folder, optim, NoisingCfg(), config, seed=3)


def ignore(_: TrainerProgress) -> None:
    """Hear nothing."""


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    run = trainer(tmp_path)
    run.train(TrainerBudget(steps=3), ignore)
    return tmp_path / CHECKPOINT


def test_a_few_motions_are_learnt(tmp_path: Path) -> None:
    optim = replace(OPTIM, batch=32, learning_rate=8e-3, warmup_steps=20, ema_max=0.95)
    run, heard = trainer(tmp_path, replace(TINY, width=32, layers=1), optim), []
    run.train(TrainerBudget(steps=200), heard.append)
    scalars = heard[-1].scalars
    # guessing the mean costs 1; the clean past says where on its circle the body is
    for part in ("state", "latent"):
        assert scalars[f"validation/{part}_20"] < 0.25
        assert scalars[f"validation/{part}_5"] < 0.05
    assert heard[-1].done == 1.0 and heard[-1].step == 200


def test_bfloat16_learns_the_same(tmp_path: Path) -> None:
    found = []
    for autocast in ("none", "bf16"):
        run = trainer(tmp_path / autocast, optim=replace(OPTIM, autocast=autocast))
        found.append(torch.stack([run.update(0.0) for _ in range(10)]))
    torch.testing.assert_close(found[0], found[1], atol=0.02, rtol=0.02)
    assert not torch.equal(found[0], found[1])


def test_an_interrupted_validation_saves_the_weights_that_learn(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    for _ in range(3):
        run.update(0.0)
    learning = {name: value.detach().clone() for name, value in run.denoiser.named_parameters()}

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    run.denoiser.register_forward_pre_hook(interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.validate()
    for name, value in run.denoiser.named_parameters():
        assert torch.equal(value, learning[name]), name
    assert run.denoiser.training


def test_resuming_gives_what_going_on_would_have(tmp_path: Path) -> None:
    whole, budget = trainer(tmp_path / "whole"), TrainerBudget(steps=8)
    for step in range(8):
        whole.update(budget.done(step, 0.0))
    first = trainer(tmp_path / "parts")
    for step in range(5):
        first.update(budget.done(step, 0.0))
    first.save_run()
    # killed while it wrote the next checkpoint
    (tmp_path / "parts" / "training_0000006.pt").write_bytes(b"half")
    second = trainer(tmp_path / "parts")
    torch.rand(7)
    second.resume()
    second.train(budget, ignore)
    assert second.step == 8
    expected = whole.model().denoiser.state_dict()
    found = DiffusionModel.load(tmp_path / "parts" / CHECKPOINT).denoiser.state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    left = {path.name for path in (tmp_path / "parts").iterdir()}
    assert left == {CHECKPOINT, *(f"{part}_0000008.pt" for part in PARTS)}


def test_a_run_does_not_go_on_as_something_else(trained: Path) -> None:
    with pytest.raises(MismatchError, match=r"denoiser\.width"):
        trainer(trained.parent, replace(TINY, width=8)).resume()
    with pytest.raises(MismatchError, match="levels"):
        trainer(trained.parent, levels=10).resume()
    (trained.parent / "moment2_0000003.pt").unlink()
    with pytest.raises(InputError, match="moment2_0000003.pt"):
        trainer(trained.parent).resume()


def test_a_process_stops_after_its_minutes_and_a_run_after_all_of_them(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.train(TrainerBudget(steps=10**6, minutes=0.002), ignore)
    assert 0 < run.step < 10**6 and (tmp_path / CHECKPOINT).exists()
    reached = run.step
    run.train(TrainerBudget(total_minutes=run.seconds / 60 + 0.002), ignore)
    assert run.step > reached
    assert TrainerBudget(steps=100, total_minutes=1.0).done(20, 30.0) == 0.5
    assert TrainerBudget(steps=100).done(200, 0.0) == 1.0


def test_the_rate_rises_and_falls(tmp_path: Path) -> None:
    run, rates = trainer(tmp_path), []
    for step in range(20):
        run.update(step / 20)
        rates.append(run.optimizer.param_groups[0]["lr"])
    peak = rates.index(max(rates))
    assert rates[:peak] == sorted(rates[:peak]) and rates[peak:] == sorted(rates[peak:], reverse=True)
    assert peak == 3 and rates[-1] < 0.05 * OPTIM.learning_rate


def test_numbers_that_blow_up_stop_the_run(trained: Path) -> None:
    run = trainer(trained.parent)
    run.resume()
    with torch.no_grad():
        run.denoiser.state_in.weight.fill_(torch.nan)
    with pytest.raises(TrainingError, match="4 steps"):
        run.train(TrainerBudget(steps=4), ignore)
    assert DiffusionModel.load(trained).header.iteration == 3


def test_a_checkpoint_says_what_it_fits(trained: Path) -> None:
    model = DiffusionModel.load(trained)
    header = model.header
    assert (header.kind, header.parent, header.iteration) == ("diffusion", "0123456789abcdef", 3)
    assert header.samples == 48 and header.details["clips"] == ["walk", "turn"]
    assert model.layout.names() == LAYOUT.names() and model.layout.cfg == LAYOUT.cfg
    assert model.schedule.levels == 20 and model.header.seconds > 0.0
    assert not any(parameter.requires_grad for parameter in model.denoiser.parameters())


def test_a_checkpoint_refuses_another_body_and_other_latents(trained: Path, body: Embodiment) -> None:
    model = DiffusionModel.load(trained)
    with pytest.raises(MismatchError, match="'stick'"):
        model.require(body, "0123456789abcdef", str(trained))
    model.header = replace(model.header, body=body.signature())
    model.require(body, "0123456789abcdef")
    with pytest.raises(MismatchError, match="0123456789ab.*f00"):
        model.require(body, "f00")


def test_half_precision_halves_the_file_and_changes_little(trained: Path, tmp_path: Path) -> None:
    model = DiffusionModel.load(trained)
    model.save(tmp_path / "half.pt", half=True)
    small = DiffusionModel.load(tmp_path / "half.pt")
    inputs = (torch.randn(4, 9, model.denoiser.model_width), torch.randn(4, 6, WIDTH))
    levels = (torch.full((4, 9), 12), torch.full((4, 6), 12))
    for a, b in zip(model.denoiser(*inputs, *levels), small.denoiser(*inputs, *levels), strict=True):
        assert b.dtype == torch.float32
        torch.testing.assert_close(a, b, atol=2e-3, rtol=0.0)
    assert torch.equal(model.denoiser.projection, small.denoiser.projection)


def test_foreign_and_damaged_checkpoints_are_refused(trained: Path, tmp_path: Path) -> None:
    content = torch.load(trained, weights_only=True)
    bad = tmp_path / "bad.pt"

    def load(**change: object) -> None:
        header = {**content["header"], **change}
        header["details"] = {
            **header["details"],
            **{key: header.pop(key) for key in change if key in DETAILS},
        }
        torch.save({**content, "header": {k: v for k, v in header.items() if v is not None}}, bad)
        DiffusionModel.load(bad)

    load()
    with pytest.raises(MismatchError, match="'tracker'"):
        load(kind="tracker")
    with pytest.raises(InputError, match="'kind'"):
        load(kind=None)
    with pytest.raises(InputError, match="'parent'"):
        load(parent=None)
    with pytest.raises(ConfigError, match=r"denoiser\.depth"):
        load(denoiser={"depth": 3})
    with pytest.raises(MismatchError, match=r"layout\[0\]"):
        load(observation=(("x", 1), *content["header"]["observation"][1:]))
    with pytest.raises(InputError, match="do not fit"):
        load(latent_width=7)
    weights = content["weights"]
    torch.save({**content, "weights": {**weights, "kind": weights["kind"] * torch.nan}}, bad)
    with pytest.raises(InputError, match="'kind'"):
        DiffusionModel.load(bad)
    bad.write_bytes(trained.read_bytes()[:5000])
    with pytest.raises(InputError, match="truncated"):
        DiffusionModel.load(bad)


def test_network_and_schedule_must_agree(trained: Path) -> None:
    model = DiffusionModel.load(trained)
    with pytest.raises(MismatchError, match="20.*10"):
        DiffusionModel(model.denoiser, Schedule(10), model.header)


@pytest.mark.parametrize("change", [{"batch": 0}, {"learning_rate": 0.0}, {"clip_norm": float("nan")}])
def test_numbers_that_train_nothing_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        OptimCfg(**change)  # type: ignore[arg-type]
