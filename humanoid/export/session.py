"""Opening an exported file with onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from humanoid.core.errors import InputError, one_line, require

EXTRA = "deploy"
"""Extra of this package that brings onnx and onnxruntime."""


class Session:
    """A network that was exported.

    Attributes:
        path: its file.
        inputs: names of the inputs.
        outputs: names of the outputs.
        texts: metadata, key -> text.
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        """Open a file.

        Args:
            path: the ONNX file.
            threads: of the CPU.

        Raises:
            InputError: missing, or not a model.
            MissingExtraError: onnxruntime is not installed.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(
                f"{path}: no such file; write one with 'humanoid export CHECKPOINT --out {path}'"
            )
        runtime = require("onnxruntime", EXTRA)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no base
            raise InputError(f"{path}: not a readable ONNX model: {one_line(error)[:200]}") from error
        self.path = path
        self.inputs = tuple(str(entry.name) for entry in self._session.get_inputs())
        self.outputs = tuple(str(entry.name) for entry in self._session.get_outputs())
        self.texts: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, feed: dict[str, Any]) -> dict[str, np.ndarray]:
        """Return every output by its name."""
        return dict(zip(self.outputs, self._session.run(None, feed), strict=True))
