"""A trained latent skill model with the body it moves: what controllers and planners use."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import torch
from torch import Tensor

from humanoid.bodies import catalogue
from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.state import BodyState
from humanoid.core.errors import InputError, MismatchError, one_line
from humanoid.core.paths import data_dir
from humanoid.nn.checkpoint import Checkpoint, Header, find
from humanoid.sim import SimCfg, Simulator
from humanoid.skills.model import PROPRIOCEPTION, REFERENCE, LatentCfg, LatentModel, proprioception

KIND = "latent"
SHIPPED = "latent.pt"
"""Name of the shipped checkpoint."""
STARTS = "starts"
"""Key of a checkpoint under which :attr:`Skills.starts` are, tensors by their names in a ``BodyState``."""


class Skills:
    """Encoder, prior and decoder of one body on one device.

    Attributes:
        model: the networks.
        body: what they move.
        header: of the checkpoint.
        starts: (S, N + 1) states :attr:`hold` control steps apart that skills can begin from, oldest
            first, the last at the origin; None where the checkpoint has none.
        default: (D,) [rad] pose that actions are about.
        scale: (D,) [rad] of an action of 1.
    """

    def __init__(
        self,
        model: LatentModel,
        body: Embodiment,
        header: Header,
        starts: BodyState | None = None,
    ) -> None:
        """Bind networks to a body."""
        self.model, self.body, self.header, self.starts = model, body, header, starts
        device = model.prop_mean.device
        self.default = torch.tensor(body.default_joint_pos, dtype=torch.float32, device=device)
        self.scale = torch.tensor(body.action_scale, dtype=torch.float32, device=device)

    @classmethod
    def load(cls, path: str | Path = "", device: str | torch.device = "cpu") -> Skills:
        """Read a checkpoint of ``humanoid train latent``: a file, a folder, or by default the shipped one.

        Raises:
            InputError: missing, damaged or foreign file.
            MismatchError: it is another kind of checkpoint, or of a body that is built differently here.
        """
        path = find(path, SHIPPED, data_dir("pretrained"))
        checkpoint = Checkpoint.load(path, KIND, device)
        header = checkpoint.header
        body = catalogue.trained(header.config, header.body, str(path))
        cfg, widths = header.section(LatentCfg, "latent"), dict(header.observation)
        if set(widths) != {*REFERENCE, *PROPRIOCEPTION}:
            raise InputError(
                f"{path}: terms {sorted(widths)}, expected {sorted({*REFERENCE, *PROPRIOCEPTION})}"
            )
        reference, own = (sum(widths[name] for name in names) for names in (REFERENCE, PROPRIOCEPTION))
        model = LatentModel(cfg, reference, own, body.num_joints).to(device)
        try:
            model.load_state_dict({key: value.float() for key, value in checkpoint.weights.items()})
        except RuntimeError as error:
            raise InputError(f"{path}: weights do not fit its configuration: {one_line(error)}") from error
        if not all(tensor.isfinite().all() for tensor in model.state_dict().values()):
            raise InputError(f"{path}: holds a number that is not finite")
        starts = checkpoint.tables.get(STARTS)
        if starts is not None:
            starts = _starts(starts, body, str(path)).to(device)
        return cls(model.eval().requires_grad_(False), body, header, starts)

    @property
    def width(self) -> int:
        """Numbers Z of a latent."""
        return self.model.cfg.width

    @property
    def hold(self) -> int:
        """Control steps that a latent is held for."""
        return self.model.cfg.hold

    @property
    def control_dt(self) -> float:
        """Control period [s]."""
        return self.header.control_dt

    def physics(self, backend: str, device: str) -> SimCfg:
        """Return the physics that the skills were learned in, for a backend and torch device."""
        trained = self.header.section(SimCfg, "sim")
        return replace(
            trained,
            backend=backend,
            device=device,
            dt=self.control_dt,
            contacts=False,
            randomizable=False,
        )

    def require(self, sim: Simulator) -> None:
        """Check that a simulator has the body and the control rate of the skills.

        Raises:
            MismatchError: naming the first difference.
        """
        self.body.require_signature(sim.body.signature(), "simulator")
        if abs(sim.dt - self.control_dt) > 1e-6:
            raise MismatchError(
                f"the skills were trained at a control period of {self.control_dt} s, not {sim.dt} s"
            )

    def feel(self, state: BodyState, last_action: Tensor) -> Tensor:
        """Return proprioception (B, P) of a state and the decoder's last action (B, D)."""
        return proprioception(state, last_action, self.default)

    def targets(self, state: BodyState, last_action: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Return servo targets (B, D) [rad] and the action (B, D) behind them, for latents (B, Z)."""
        action = self.model.decode(self.feel(state, last_action), latent)
        return self.default + self.scale * action, action

    def prior(self, state: BodyState, last_action: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance (B, Z) of the skills that make sense in a state."""
        return self.model.prior(self.feel(state, last_action))


def _starts(found: object, body: Embodiment, source: str) -> BodyState:
    """Return what a checkpoint holds of states to begin from.

    Raises:
        InputError: it is no such table.
    """
    names = [field.name for field in fields(BodyState)]
    table = found if isinstance(found, dict) else {}
    values = [table.get(name) for name in names]
    known = [value for value in values if isinstance(value, Tensor) and value.ndim >= 2]
    if len(known) == len(names) and known[0].numel():
        leading, joints, bodies = known[0].shape[:2], body.num_joints, body.num_bodies
        shapes = [(joints,), (joints,), (bodies, 3), (bodies, 4), (bodies, 3), (bodies, 3)]
        fits = zip(known, shapes, strict=True)
        if all(value.shape == (*leading, *shape) and value.isfinite().all() for value, shape in fits):
            return BodyState(*(value.float() for value in known))
    raise InputError(
        f"{source}: '{STARTS}' holds no states of '{body.name}', (S, N + 1) of finite {', '.join(names)}"
    )
