"""TensorBoard events of a run, written by one process, with one clear error when that fails."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from humanoid.core.errors import TrainingError


class EventLog:
    """Writes scalars over samples."""

    def __init__(self, folder: Path, samples: int) -> None:
        """Open a file of events in ``folder`` for a run that is at ``samples`` control steps."""
        # what a killed process logged after its last checkpoint is about to happen again
        purge = samples + 1 if samples else None
        self._folder = folder
        self._writer = SummaryWriter(str(folder), purge_step=purge, flush_secs=20)

    def write(self, scalars: dict[str, float], samples: int) -> None:
        """Log named numbers at ``samples`` control steps.

        Raises:
            TrainingError: the file cannot be written.
        """
        try:
            for name, value in scalars.items():
                self._writer.add_scalar(name, value, samples)
        except OSError as error:
            raise TrainingError(
                f"{self._folder}: cannot write events: {error.strerror or error}; the last checkpoint "
                "stays: free space, run the same command again"
            ) from error

    def close(self) -> None:
        """Write what is left; what cannot be written is lost, which the checkpoint is not."""
        with suppress(OSError):
            self._writer.close()
