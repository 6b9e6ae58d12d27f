"""Training of a denoiser: noise a window, predict it clean, average the weights.

A run folder holds ``checkpoint.pt``, the averaged weights and what ships, and four files
``PART_N.pt`` to go on from: weights and generators, averages, and Adam's two moments, apart
to keep files small. ``checkpoint.pt`` is written last and names step N, so a kill at any
moment leaves files that belong together.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from humanoid.core.config import first_difference
from humanoid.core.errors import InputError, TrainingError
from humanoid.core.runs import atomic_save
from humanoid.diffusion.denoiser import Denoiser
from humanoid.diffusion.model import DiffusionModel, make_header
from humanoid.diffusion.optim import OptimCfg, adamw, bf16_is_faster, masked_mse
from humanoid.diffusion.schedule import Schedule
from humanoid.diffusion.shards import NoisingCfg, ShardHeader, Windows, draw_levels
from humanoid.nn.checkpoint import Header, read_torch
from humanoid.nn.ema import Ema

CHECKPOINT = "checkpoint.pt"
PARTS = ("training", "average", "moment1", "moment2")
_FIT_WINDOWS = 4096
"""Windows that the normalisation is computed from."""
_VALIDATION_SEED = 20
_FIXED = ("trajectory", "denoiser", "latent_width", "levels", "root", "bodies")
"""Settings that may not change when a run resumes."""


@dataclass(frozen=True, kw_only=True)
class TrainerBudget:
    """When training ends, and when this process stops.

    Attributes:
        steps: of all processes, resumed ones included; 0 for no limit.
        total_minutes: likewise, minutes spent in training; 0 for no limit. The learning
            rate has fallen to its end where the first of both limits is reached.
        minutes: wall time since this start; 0 for no limit.
        save_seconds: time between checkpoints.
    """

    steps: int = 0
    total_minutes: float = 0.0
    minutes: float = 0.0
    save_seconds: float = 60.0

    def done(self, step: int, seconds: float) -> float:
        """Return the share of all training that is behind, up to 1."""
        by_step = step / self.steps if self.steps else 0.0
        by_time = seconds / (60 * self.total_minutes) if self.total_minutes else 0.0
        return min(1.0, max(by_step, by_time))


@dataclass(frozen=True)
class TrainerProgress:
    """Progress of a training.

    Attributes:
        step: so far.
        seconds: spent in training so far.
        step_ms: time of a step, since the last report [ms].
        done: share of all training, 0 to 1.
        scalars: ``loss/state``, ``loss/latent``, ``rate`` and, after a save, ``validation/...``.
    """

    step: int
    seconds: float
    step_ms: float
    done: float
    scalars: dict[str, float]


class Trainer:
    """A network in training."""

    def __init__(
        self,
        denoiser: Denoiser,
        rollouts: ShardHeader,
        train: Windows,
        validation: Windows,
        folder: str | Path,
        optim: OptimCfg,
        noising: NoisingCfg,
        config: dict[str, Any],
        seed: int,
    ) -> None:
        """Set up optimiser and averages, and fit the network's normalisation to the data.

        Args:
            denoiser: the network, on the windows' device.
            rollouts: what the windows are of.
            train: windows to learn from.
            validation: windows of other rollouts.
            folder: run folder, exists.
            optim: the optimisation's numbers.
            noising: which levels windows get.
            config: resolved configuration, plain values, kept in the checkpoint.
            seed: of windows, levels and noise.
        """
        self.denoiser, self.rollouts, self.train_windows = denoiser, rollouts, train
        self.folder, self.optim, self.noising, self.config = Path(folder), optim, noising, config
        self.device = train.device
        self.schedule = Schedule(denoiser.levels).to(self.device)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.step, self.seconds, self._saved_step = 0, 0.0, -1
        tokens, latents = train.draw(_FIT_WINDOWS, self.generator)
        denoiser.fit(tokens.flatten(0, 1), latents.flatten(0, 1))
        self.ema = Ema(denoiser, optim.ema_power, optim.ema_max)
        self.optimizer = adamw(denoiser, optim)
        self._bf16 = optim.autocast == "bf16" or (optim.autocast == "auto" and bf16_is_faster(self.device))
        generator = torch.Generator(self.device).manual_seed(_VALIDATION_SEED)
        self._validation = validation.draw(optim.validation_windows, generator)

    def train(
        self, budget: TrainerBudget, on_progress: Callable[[TrainerProgress], None], every_s: float = 10.0
    ) -> None:
        """Train and save until the budget is used up; report every ``every_s`` seconds.

        Raises:
            TrainingError: a loss is not finite; the last checkpoint stays.
        """
        self.denoiser.train()
        started = reported = saved = begin = time.monotonic()
        sums, count = torch.zeros(2, device=self.device), 0
        while budget.done(self.step, self.seconds) < 1.0:
            sums += self.update(budget.done(self.step, self.seconds))
            count += 1
            now = time.monotonic()
            self.seconds, begin = self.seconds + now - begin, now
            done = budget.done(self.step, self.seconds)
            stop = done >= 1.0 or (budget.minutes > 0 and now - started > 60 * budget.minutes)
            save = stop or now - saved > budget.save_seconds
            if not save and now - reported < every_s:
                continue
            scalars = self._scalars(sums / count)
            if save:
                scalars |= self.validate()
                self.save_run()
                begin = saved = time.monotonic()
            on_progress(
                TrainerProgress(self.step, self.seconds, 1e3 * (now - reported) / count, done, scalars)
            )
            sums, count, reported = torch.zeros_like(sums), 0, time.monotonic()
            if stop:
                return

    def update(self, done: float) -> Tensor:
        """Take one step with ``done`` of all training behind; return both losses, (2,)."""
        rate = self._rate(done)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        losses = self._losses(*self._noisy_batch())
        self.optimizer.zero_grad(set_to_none=True)
        (losses[0] + self.optim.latent_weight * losses[1]).backward()
        nn.utils.clip_grad_norm_(self.denoiser.parameters(), self.optim.clip_norm)
        self.optimizer.step()
        self.ema.update()
        self.step += 1
        return losses.detach()

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return errors of the averaged weights on held-back windows, future at one level.

        The history is clean. Errors are mean squares in model space, where predicting the
        mean costs about 1.
        """
        frames, scalars = self.denoiser.layout.cfg, {}
        states, latents = (part.to(self.device) for part in self._model_space(*self._validation))
        generator = torch.Generator(self.device).manual_seed(_VALIDATION_SEED)
        self.denoiser.eval()
        live = {name: value.detach().clone() for name, value in self.denoiser.named_parameters()}
        self.denoiser.load_state_dict(self.ema.weights(), strict=False)
        try:
            for quarter in range(1, 5):
                level = max(1, self.schedule.levels * quarter // 4)
                state_level = torch.full(states.shape[:2], level, device=self.device)
                latent_level = torch.full(latents.shape[:2], level, device=self.device)
                state_level[:, : frames.history + 1] = 0
                latent_level[:, : frames.history] = 0
                losses = self._losses(states, latents, state_level, latent_level, generator)
                scalars |= {
                    f"validation/state_{level}": float(losses[0]),
                    f"validation/latent_{level}": float(losses[1]),
                }
        finally:  # after an interrupt the run is saved, and these are what it goes on with
            self.denoiser.load_state_dict(live, strict=False)
            self.denoiser.train()
        return scalars

    def model(self) -> DiffusionModel:
        """Return a copy with the averaged weights, as it ships."""
        copy = Denoiser(
            self.denoiser.cfg, self.denoiser.layout, self.denoiser.latent_width, self.denoiser.levels
        )
        copy.load_state_dict({**self.denoiser.state_dict(), **self.ema.weights()})
        return DiffusionModel(copy.eval(), Schedule(copy.levels), self._header())

    def save_run(self) -> None:
        """Write the checkpoint of this moment; the old one stays until the new is whole.

        Raises:
            InputError: it cannot be written.
        """
        if self.step == self._saved_step:
            return
        optimizer = self.optimizer.state_dict()
        moments = optimizer["state"]
        network = {name: value.detach() for name, value in self.denoiser.state_dict().items()}
        parts: dict[str, dict[str, Any]] = {
            "training": {
                "network": network,
                "generator": self.generator.get_state(),
                "torch_rng": torch.get_rng_state(),
                "ema_step": self.ema.step,
            },
            "average": self.ema.weights(),
            "moment1": {key: value["exp_avg"] for key, value in moments.items()},
            "moment2": {key: value["exp_avg_sq"] for key, value in moments.items()},
        }
        for name in PARTS:
            atomic_save({"step": self.step, "part": parts[name]}, self.folder / f"{name}_{self.step:07d}.pt")
        self.model().save(self.folder / CHECKPOINT)
        for name in PARTS:
            for old in self.folder.glob(f"{name}_*.pt"):
                if old.name != f"{name}_{self.step:07d}.pt":
                    old.unlink()
        self._saved_step = self.step

    def resume(self) -> None:
        """Go on from the run folder: weights, averages, optimiser, generators.

        Raises:
            InputError: one of its files is missing, unreadable or of another step.
            MismatchError: made with another network, body, latent checkpoint or layout.
        """
        path = self.folder / CHECKPOINT
        header = DiffusionModel.load(path).header
        mine = self._header()
        for key in _FIXED:
            first_difference(key, header.details[key], mine.details[key], str(path))
        first_difference("latent", header.parent, mine.parent, str(path))
        first_difference("body", header.body, mine.body, str(path))
        step = header.iteration
        parts = {name: self._read_part(name, step) for name in PARTS}
        try:
            self.denoiser.load_state_dict(parts["training"]["network"])
            self.ema.load(parts["average"], parts["training"]["ema_step"])
            moments = {
                key: {
                    "step": torch.tensor(float(step)),
                    "exp_avg": first,
                    "exp_avg_sq": parts["moment2"][key],
                }
                for key, first in parts["moment1"].items()
            }
            groups = self.optimizer.state_dict()["param_groups"]
            self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
            self.generator.set_state(parts["training"]["generator"].cpu())
            torch.set_rng_state(parts["training"]["torch_rng"].cpu())
        except (RuntimeError, KeyError, ValueError) as error:
            raise InputError(f"{path}: its training state does not fit the configured network") from error
        self.step, self.seconds, self._saved_step = step, header.seconds, step

    def _read_part(self, name: str, step: int) -> dict[str, Any]:
        path = self.folder / f"{name}_{step:07d}.pt"
        content = read_torch(path, self.device)
        if content.get("step") != step or not isinstance(content.get("part"), dict):
            raise InputError(f"{path}: belongs to another step; choose another run name")
        return content["part"]

    def _header(self) -> Header:
        samples = self.step * self.optim.batch
        return make_header(self.rollouts, self.denoiser, self.config, self.step, samples, self.seconds)

    def _rate(self, done: float) -> float:
        """Return the learning rate: warm-up, then half a cosine."""
        low = self.optim.final_rate
        cosine = low + (1.0 - low) * 0.5 * (1.0 + math.cos(math.pi * done))
        return self.optim.learning_rate * cosine * min(1.0, (self.step + 1) / max(self.optim.warmup_steps, 1))

    def _model_space(self, tokens: Tensor, latents: Tensor) -> tuple[Tensor, Tensor]:
        return self.denoiser.states_to_model(tokens), self.denoiser.latents_to_model(latents)

    def _noisy_batch(self) -> tuple[Tensor, Tensor, Tensor, Tensor, torch.Generator]:
        """Return clean tokens of a batch in model space, and levels to noise them to."""
        count, generator = self.optim.batch, self.generator
        states, latents = self._model_space(*self.train_windows.draw(count, generator))
        frames = self.denoiser.layout.cfg
        state_level, latent_level = draw_levels(self.noising, frames, self.schedule.levels, count, generator)
        return states, latents, state_level, latent_level, generator

    def _losses(
        self,
        states: Tensor,
        latents: Tensor,
        state_level: Tensor,
        latent_level: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """Return mean squared errors of states and latents, (2,), over the tokens that are noisy."""
        noise = [torch.empty_like(part).normal_(generator=generator) for part in (states, latents)]
        noisy_states = self.schedule.noised(states, state_level, noise[0])
        noisy_latents = self.schedule.noised(latents, latent_level, noise[1])
        mixed = torch.autocast(self.device.type, torch.bfloat16) if self._bf16 else nullcontext()
        with mixed:
            found_states, found_latents = self.denoiser(
                noisy_states, noisy_latents, state_level, latent_level
            )
        return torch.stack(
            (
                masked_mse(found_states.float(), states, state_level > 0),
                masked_mse(found_latents.float(), latents, latent_level > 0),
            )
        )

    def _scalars(self, losses: Tensor) -> dict[str, float]:
        """Return what is reported; refuse to go on with losses that are not finite."""
        state, latent = losses.tolist()
        if not math.isfinite(state + latent):
            raise TrainingError(
                f"{self.folder}: the loss is not finite after {self.step} steps; resume from the last "
                "checkpoint with a smaller optim.learning_rate"
            )
        rate = self.optimizer.param_groups[0]["lr"]
        return {"loss/state": state, "loss/latent": latent, "rate": rate}
