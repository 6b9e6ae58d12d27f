"""Running exported skills and denoisers with numpy and onnxruntime alone: no torch.

skills = OnnxSkills("latent.onnx")
mean, log_var = skills.prior(proprioception)
targets, actions = skills.targets(proprioception, mean)      # [rad], for the servos of skills.metadata

:mod:`humanoid.export.plan` plans with :class:`OnnxDenoiser`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from humanoid.core.errors import InputError, MismatchError
from humanoid.export.session import Session
from humanoid.export.skills_metadata import DenoiserMetadata, SkillsMetadata

PROPRIOCEPTION, LATENT = "proprioception", "latent"
"""Inputs of exported skills."""
SKILLS = ("actions", "targets", "prior_mean", "prior_log_var")
"""Their outputs."""
NOISY = ("states", "latents", "state_level", "latent_level")
"""Inputs of an exported denoiser: both in model space, and int64 levels of every token."""
CLEAN = ("clean_states", "clean_latents")
"""Its outputs: state tokens and latents as the decoder takes them."""


class OnnxSkills:
    """Exported decoder and prior.

    Attributes:
        metadata: what they fit.
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        """Open a file.

        Args:
            path: the ONNX file.
            threads: of the CPU; one is fastest for networks of this size.

        Raises:
            InputError: missing, not a model, or without the metadata of this package.
            MismatchError: what was exported are not skills.
            MissingExtraError: onnxruntime is not installed.
        """
        self._session = Session(path, threads)
        self.path = self._session.path
        self.metadata = SkillsMetadata.from_text(self._session.texts, str(path))

    def targets(self, proprioception: np.ndarray, latent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return servo targets (B, D) [rad] and the actions (B, D) behind them.

        Args:
            proprioception: (B, P) as ``metadata.observation_names`` says.
            latent: (B, Z), held for ``metadata.latent_hold`` control steps.

        Raises:
            MismatchError: another number of rows or columns.
        """
        found = self.run(proprioception, latent)
        return found["targets"], found["actions"]

    def prior(self, proprioception: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and log-variance (B, Z) of the skills that make sense here.

        Args:
            proprioception: (B, P) as ``metadata.observation_names`` says.

        Raises:
            MismatchError: another number of columns.
        """
        found = self.run(proprioception, np.zeros((len(proprioception), self.metadata.latent_width)))
        return found["prior_mean"], found["prior_log_var"]

    def run(self, proprioception: np.ndarray, latent: np.ndarray) -> dict[str, np.ndarray]:
        """Return every output for proprioception (B, P) and latents (B, Z).

        Raises:
            MismatchError: another number of rows or columns.
        """
        rows = len(proprioception)
        widths = {PROPRIOCEPTION: sum(self.metadata.observation_widths), LATENT: self.metadata.latent_width}
        feed = {}
        for (name, width), array in zip(widths.items(), (proprioception, latent), strict=True):
            if np.shape(array) != (rows, width):
                raise MismatchError(
                    f"{self.path}: {name} of shape {np.shape(array)}, expected ({rows}, {width})"
                )
            feed[name] = np.asarray(array, dtype=np.float32)
        return self._session.run(feed)


class OnnxDenoiser:
    """An exported denoiser with the way into its model space.

    Attributes:
        metadata: what it fits.
        layout: of its tokens.
        alpha_bar: (K + 1,) share of the variance that is signal.
        state_std: (S,) of a state's numbers.
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        """Open a file.

        Args:
            path: the ONNX file.
            threads: of the CPU.

        Raises:
            InputError: missing, not a model, or without the metadata of this package.
            MismatchError: what was exported is not a denoiser.
            MissingExtraError: onnxruntime is not installed.
        """
        self._session = Session(path, threads)
        self.path = self._session.path
        meta = self.metadata = DenoiserMetadata.from_text(self._session.texts, str(path))
        self.layout = meta.layout
        if meta.state_names != self.layout.names() or len(meta.projection) != meta.model_width * len(
            meta.state_names
        ):
            raise InputError(f"{path}: metadata 'state_names' or 'projection' do not fit its bodies")
        self.alpha_bar = meta.alpha_bar.astype(np.float32)
        self.state_std = meta.state_std.astype(np.float32)
        self._state_mean = meta.state_mean.astype(np.float32)
        self._latent_mean, self._latent_std = (
            meta.latent_mean.astype(np.float32),
            meta.latent_std.astype(np.float32),
        )
        self._projection = meta.projection.reshape(meta.model_width, -1).astype(np.float32)

    @property
    def levels(self) -> int:
        """Noise level K of pure noise."""
        return len(self.alpha_bar) - 1

    @property
    def model_width(self) -> int:
        """Numbers P of a state in model space."""
        return len(self._projection)

    @property
    def latent_width(self) -> int:
        """Numbers Z of a latent."""
        return len(self._latent_mean)

    def require(self, skills: SkillsMetadata) -> None:
        """Refuse skills that the planned latents are not for.

        Raises:
            MismatchError: another body or other skills.
        """
        meta = self.metadata
        if meta.body_fingerprint != skills.body_fingerprint:
            raise MismatchError(
                f"{self.path}: plans for another body than the skills of {skills.run_path} move"
            )
        if meta.latent_digest != skills.latent_digest:
            raise MismatchError(
                f"{self.path}: plans latents of the skills {meta.latent_digest}, {skills.run_path} holds "
                f"{skills.latent_digest}; export those"
            )

    def states_to_model(self, tokens: np.ndarray) -> np.ndarray:
        """Return state tokens (..., S) in model space (..., P)."""
        return ((tokens - self._state_mean) / self.state_std) @ self._projection.T

    def latents_to_model(self, latents: np.ndarray) -> np.ndarray:
        """Return latents (..., Z) in model space."""
        return (latents - self._latent_mean) / self._latent_std

    def clean(
        self, states: np.ndarray, latents: np.ndarray, state_level: np.ndarray, latent_level: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the predicted clean tokens (B, T, S) and latents (B, L, Z), as the decoder takes them.

        Args:
            states: (B, T, P) noisy, model space.
            latents: (B, L, Z) noisy, model space.
            state_level: (B, T), 0 is clean.
            latent_level: (B, L).
        """
        arrays = [np.asarray(part, dtype=np.float32) for part in (states, latents)]
        arrays += [np.asarray(part, dtype=np.int64) for part in (state_level, latent_level)]
        found = self._session.run(dict(zip(NOISY, arrays, strict=True)))
        return found["clean_states"], found["clean_latents"]
