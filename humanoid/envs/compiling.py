"""Compilation of the pure parts of a step with ``torch.compile``.

Errors, rewards, failures, observations and noise on initial states are some four hundred small operations;
compiled, they are a handful of GPU kernels. On a CPU the simulator dominates and compilation takes half a
minute, so there it is off by default. Compiled functions map tensors of fixed shapes to tensors and draw no
random numbers. No CUDA graph is captured: the next step would overwrite outputs that rollouts keep.
Kernels are cached in ``$TORCHINDUCTOR_CACHE_DIR``, by default in the system's temporary folder.
"""

from __future__ import annotations

import importlib.util
import shutil
import warnings
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import torch

from humanoid.core.errors import ConfigError, one_line

Compile = Literal["auto", "always", "never"]
"""``auto``: on a GPU, where torch finds its compiler."""
F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F, choice: Compile, device: torch.device) -> F:
    """Return ``function``, compiled at its first call where ``choice`` says so.

    Args:
        function: pure, of tensors (also in dataclasses) whose shapes never change.
        choice: when to compile.
        device: of the tensors.

    Raises:
        ConfigError: ``always``, and there is no C++ compiler for the CPU; at the first call, where
            compiling fails. With ``auto`` the function then runs as it is, after a warning.
    """
    if choice == "never" or (choice == "auto" and not _worth_it(device)):
        return function
    if device.type == "cpu" and not any(map(shutil.which, ("g++", "clang++"))):
        raise ConfigError("task.compile is 'always', which needs g++ or clang++ on a CPU; use 'never'")
    return CompiledFunction(function, choice)  # type: ignore[return-value]


def _worth_it(device: torch.device) -> bool:
    return device.type == "cuda" and importlib.util.find_spec("triton") is not None


class CompiledFunction:
    """A function that is compiled at its first call; with ``auto`` it runs uncompiled after a failure."""

    def __init__(self, function: Callable[..., Any], choice: Compile) -> None:
        """Wrap ``function``; nothing is compiled yet."""
        self._plain, self._choice = function, choice
        self._run: Callable[..., Any] = torch.compile(function, fullgraph=True, dynamic=False)
        self._works = False

    def __call__(self, *args: Any) -> Any:  # noqa: ANN401 - whatever the function takes
        """Call the function, compiled."""
        if self._works:
            return self._run(*args)
        try:
            result = self._run(*args)
        except Exception as error:  # torch's compiler raises errors of many kinds
            name = getattr(self._plain, "__qualname__", "a function")
            reason = f"torch cannot compile {name}: {one_line(error)[:200]}"
            if self._choice == "always":
                raise ConfigError(f"{reason}; use task.compile=never") from error
            warnings.warn(f"{reason}; it runs uncompiled, slower", stacklevel=2)
            self._run, self._works = self._plain, True
            return self._plain(*args)
        self._works = True
        return result
