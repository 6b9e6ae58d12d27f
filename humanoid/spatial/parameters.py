"""Numeric parameters of costs and solids: checked where they come in, trusted inside.

A parameter is one value for every row of a batch, or has a leading axis of length 1 or B.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from humanoid.core.errors import InputError

Parameter = float | Sequence[float] | np.ndarray | Tensor
"""A number, or numbers as a list, an array or a tensor."""


def check_number(place: str, value: float, low: float, high: float = math.inf) -> None:
    """Check that a number is finite, above ``low`` and at most ``high``.

    Raises:
        InputError: with ``place``.
    """
    if not (math.isfinite(value) and low < value <= high):
        upper = f" and at most {high:g}" if math.isfinite(high) else ""
        raise InputError(f"{place}: {value:g} given; give a finite number greater than {low:g}{upper}")


def check_values(place: str, value: Parameter, tail: tuple[int, ...], *, positive: bool = False) -> None:
    """Check that numbers are finite and of shape ``tail`` or (B, *tail).

    Args:
        place: names the parameter, for messages.
        value: the numbers.
        tail: the shape of one plan's parameter; -1 stands for any length of at least 1.
        positive: whether all must be greater than zero.

    Raises:
        InputError: with ``place``.
    """
    try:
        tensor = torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(
            f"{place}: {type(value).__name__} given is no array of numbers; give numbers {_shown(tail)}"
        ) from None
    fits = any(_fits(tuple(tensor.shape), wanted) for wanted in (tail, (-1, *tail)))
    if not fits:
        raise InputError(f"{place}: shape {tuple(tensor.shape)} given; give {_shown(tail)}")
    if not bool(tensor.isfinite().all()):
        raise InputError(f"{place}: a number that is NaN or infinite given; give finite numbers")
    if positive and not bool((tensor > 0).all()):
        raise InputError(f"{place}: {float(tensor.min()):g} given; give numbers greater than 0")


def rows(place: str, value: Parameter, axes: int, like: Tensor) -> Tensor:
    """Return a parameter as a tensor with a leading axis of 1 or B, of the kind of ``like``.

    Args:
        place: names the parameter, for messages.
        value: as :func:`check_values` let pass.
        axes: number of axes of one plan's parameter.
        like: (B, ...) a tensor of the trajectory: batch, type and device.

    Raises:
        InputError: the leading axis is neither 1 nor B.
    """
    tensor = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    if tensor.is_inference():  # such a tensor cannot enter a graph, a copy can
        tensor = tensor.clone()
    if tensor.ndim == axes:
        tensor = tensor.unsqueeze(0)
    if tensor.shape[0] not in (1, like.shape[0]):
        raise InputError(
            f"{place}: given for {tensor.shape[0]} plans, but there are {like.shape[0]}; "
            "give one value for all or one for each"
        )
    return tensor


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    if len(shape) != len(wanted):
        return False
    return all(have == want or (want == -1 and have > 0) for have, want in zip(shape, wanted, strict=True))


def _shown(tail: tuple[int, ...]) -> str:
    sizes = ["any" if size == -1 else str(size) for size in tail]
    one = f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
    return f"shape {one} or ({', '.join(['B', *sizes])}{'' if sizes else ','}) for B plans"
