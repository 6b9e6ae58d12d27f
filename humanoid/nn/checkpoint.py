"""Checkpoints: weights and one typed header that describes what they fit; one file."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from humanoid.core.config import from_dict
from humanoid.core.errors import InputError, MismatchError
from humanoid.core.runs import atomic_save
from humanoid.nn.policy import MlpPolicy

CHECKPOINT = "checkpoint.pt"
"""Name of a run's checkpoint in its folder."""
Cfg = TypeVar("Cfg")


@dataclass(frozen=True, kw_only=True)
class Header:
    """Description of trained weights, plain values.

    Attributes:
        kind: ``tracker``, ``latent``, ``diffusion``, ...
        body: signature of the body.
        observation: names and widths of the network's inputs.
        control_dt: control period [s]; of a planner, the time between its frames.
        config: resolved configuration of the run.
        iteration: of the training.
        samples: control steps or windows learned from.
        seconds: [s] of training.
        motions: fingerprint of the motion set; "" where it is not known.
        parent: digest of the checkpoint that these weights need: a student's teacher, a planner's skills.
        details: further values of the kind.
        source: file that it was read from; not stored.
    """

    kind: str
    body: dict[str, Any]
    observation: tuple[tuple[str, int], ...]
    control_dt: float
    config: dict[str, Any]
    iteration: int = 0
    samples: float = 0
    seconds: float = 0.0
    motions: str = ""
    parent: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    source: str = field(default="checkpoint", compare=False)

    def section(self, cls: type[Cfg], key: str) -> Cfg:
        """Return a group of the configuration as its dataclass; defaults where it has none.

        Raises:
            ConfigError: the group has other fields or values.
        """
        return from_dict(cls, self.config.get(key, {}), self.source, f"{key}.")

    @classmethod
    def read(cls, content: Mapping[str, Any], source: str | Path) -> Header:
        """Return the header in the content of a file.

        Raises:
            InputError: a field is missing or of another type.
        """
        stored = content.get("header")
        if not isinstance(stored, dict):
            raise InputError(f"{source}: not a checkpoint of this project: no 'header'")
        values = dict(stored)
        try:
            values["observation"] = tuple((str(name), int(width)) for name, width in values["observation"])
        except (KeyError, TypeError, ValueError):
            values.pop("observation", None)
        kinds = {"str": str, "float": (int, float), "int": int, "dict[str, Any]": dict}
        values["source"] = str(source)
        for one in fields(cls):
            if not isinstance(values.get(one.name), kinds.get(str(one.type), tuple)):
                raise InputError(
                    f"{source}: not a checkpoint of this version: no '{one.name}'; train it again"
                )
        return cls(**{one.name: values[one.name] for one in fields(cls)})


@dataclass(frozen=True)
class Checkpoint:
    """Trained weights with their header.

    Attributes:
        path: file that it came from.
        header: what the weights fit.
        weights: state dictionary of the network.
        tables: further tensors, by name.
    """

    path: Path
    header: Header
    weights: dict[str, Tensor]
    tables: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | Path, kind: str, device: str | torch.device = "cpu") -> Checkpoint:
        """Read a checkpoint; nothing in it can execute (``weights_only``).

        Raises:
            InputError: missing, truncated or foreign file.
            MismatchError: a checkpoint of another kind.
        """
        content = read_torch(path, device)
        header = Header.read(content, path)
        if header.kind != kind:
            raise MismatchError(f"{path}: holds a '{header.kind}', a '{kind}' is needed")
        weights, tables = content.get("weights"), content.get("tables", {})
        if not isinstance(weights, dict) or not isinstance(tables, dict):
            raise InputError(f"{path}: not a checkpoint of this version: no 'weights'; train it again")
        return cls(Path(path), header, weights, tables)

    def save(self) -> None:
        """Write the file: to a temporary name, then renamed.

        Raises:
            InputError: it cannot be written.
        """
        header = asdict(self.header)
        del header["source"]
        content = {"header": header, "weights": self.weights}
        atomic_save({**content, "tables": self.tables} if self.tables else content, self.path)

    def require(self, observation: Sequence[tuple[str, int]], control_dt: float) -> None:
        """Check that an environment has the observations and the rate of the training.

        Raises:
            MismatchError: naming the first difference.
        """
        theirs = self.header.observation
        for index in range(max(len(theirs), len(observation))):
            a = theirs[index] if index < len(theirs) else None
            b = tuple(observation[index]) if index < len(observation) else None
            if a != b:
                raise MismatchError(f"{self.path}: observation term {index} is {a}, here it is {b}")
        if abs(self.header.control_dt - control_dt) > 1e-6:
            raise MismatchError(
                f"{self.path}: made for a control period of {self.header.control_dt} s, "
                f"here it is {control_dt} s"
            )

    def policy(self, device: str | torch.device = "cpu") -> MlpPolicy:
        """Return the policy of a tracker on a device."""
        return MlpPolicy(self.weights, self.path).to(device).eval().requires_grad_(False)


def find(path: str | Path, name: str, shipped: Path) -> Path:
    """Return the checkpoint that a user means.

    Args:
        path: a file, a run folder, a folder of checkpoints by their shipped names, ``pretrained``, or "".
        name: file name in such a folder.
        shipped: folder of the shipped checkpoints, taken for "" and ``pretrained``.
    """
    given = Path(path)
    if str(path) in ("", shipped.name) and not given.is_file() and not (given / name).is_file():
        return shipped / name
    if given.is_dir():
        return given / (name if (given / name).is_file() else CHECKPOINT)
    return given


def digest(path: str | Path) -> str:
    """Return 16 hex digits that identify the weights of a checkpoint; its header does not count.

    Raises:
        InputError: missing or damaged file.
    """
    found = hashlib.sha256()
    weights = read_torch(path).get("weights")
    for name, tensor in sorted(weights.items()) if isinstance(weights, dict) else ():
        found.update(name.encode())
        found.update(tensor.float().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def read_torch(path: str | Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Read a dictionary that torch saved, refusing anything that could execute.

    Raises:
        InputError: missing, empty, truncated or foreign file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about foreign files, which the error tells in one line
            content = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch's reader raises whatever the bytes lead it to
        raise InputError(
            f"{path}: not a readable checkpoint: truncated, not written by this project, "
            f"or holding more than tensors and plain values ({type(error).__name__})"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a checkpoint of this project")
    return content
