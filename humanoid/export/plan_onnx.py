"""A guided plan as one ONNX graph, generated from the planner in torch.

The gradient of all costs is traced (``make_fx``) and called by every step of the sampler; around it
:meth:`humanoid.planning.planner.DiffusionPlanner.draw` is exported as it is: heading frames, keyframes, warm
start, all denoising steps and the root update. Tensors of a cost are inputs of the graph, all its other
parameters are constants; so any cost can be exported, a user's own too. With a weight of 0 it is off.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from humanoid.core.errors import InputError, one_line, require
from humanoid.core.runs import atomic_path
from humanoid.diffusion.trajectory import Frame, Layout
from humanoid.export.metadata import of_planner
from humanoid.export.onnx import OPSET, difference, require_small, save_model
from humanoid.export.plan import INPUTS, OUTPUTS
from humanoid.export.runtime import EXTRA, Session
from humanoid.planning.costs import (
    WEIGHTS,
    Boxes,
    Capsules,
    Cost,
    Effort,
    Heading,
    Joystick,
    Keyframe,
    Obstacles,
    PathField,
    Steer,
    Style,
    Symmetry,
    Waypoint,
)
from humanoid.planning.guidance import Guidance, gradient_of
from humanoid.planning.planner import DiffusionPlanner, Keyframes, Plan, Window

KEYS = 4
"""Keyframes that an exported planner takes at a time."""
POSES = 32
"""Poses of a style."""
FAR = 1e3
"""[m] Place of obstacles and poses that are not given: too far to count."""
REACH = 1.0
"""[m] of the waypoint's pull, see :class:`Waypoint`."""
_SAMPLES = 2


def default_costs(layout: Layout, obstacles: int = 8, batch: int = 1) -> list[Cost]:
    """Return every cost of this package, with commands that can be replaced.

    Args:
        layout: of the planner's tokens.
        obstacles: number M of pillars or bars, and of boxes; those not given are out of reach.
        batch: number B of plans.
    """
    zero, place = torch.zeros(batch), torch.zeros(batch, 2)
    away = torch.full((batch, obstacles, 3), FAR)
    upright = torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(batch, obstacles, 4)
    bodies = 1 + layout.num_bodies
    return [
        Joystick(velocity=place, yaw_rate=zero),
        Steer(speed=zero, yaw=zero),
        Steer(speed=zero, pos_w=place, name="steer_to"),
        Waypoint(pos_w=place, reach=REACH),
        Heading(yaw=zero),
        Obstacles(
            capsules=Capsules(start_w=away, end_w=away, radius=torch.full((batch, obstacles), 0.1)),
            boxes=Boxes(centre_w=away, half=torch.full_like(away, 0.1), quat_w=upright),
        ),
        Keyframe(
            frames=torch.zeros(batch, KEYS),
            positions_w=torch.zeros(batch, KEYS, bodies, 3),
            mask=torch.ones(batch, KEYS, bodies),
        ),
        Style(poses=torch.full((batch, POSES, 1 + 6 * layout.num_bodies), FAR), bodies=layout.bodies),
        Symmetry(),
        Effort(),
    ]


def commands_of(costs: Sequence[Cost]) -> dict[str, Tensor]:
    """Return the tensors of costs by name, COST.PARAMETER or COST.PART.PARAMETER."""
    return {name: value for cost in costs for name, value in _tensors(cost, cost.name)}


def with_commands(costs: Sequence[Cost], commands: Mapping[str, Tensor]) -> list[Cost]:
    """Return costs with other tensors, named as in :func:`commands_of`; nothing is checked."""
    return [_replaced(cost, cost.name, commands) for cost in costs]


class PlanGraph(nn.Module):
    """The sampler with all costs, as a function of tensors alone."""

    def __init__(self, planner: DiffusionPlanner, costs: Sequence[Cost], batch: int = 1) -> None:
        """Trace the gradient of ``costs`` for ``batch`` plans.

        Raises:
            InputError: a cost cannot be traced, because its code depends on the numbers of a tensor.
        """
        super().__init__()
        self.planner, self.denoiser = planner, planner.model.denoiser
        self.names = [cost.name for cost in costs]
        examples = {**_example(planner, len(costs), batch), **commands_of(costs)}
        # copies: a trace knows inputs by their identity, and views and shared tensors confuse it
        self.examples = {name: value.clone() for name, value in examples.items()}
        self.gradient = self._traced(costs)

    def forward(self, *values: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the plan of inputs in the order of :attr:`examples`.

        Returns:
            World features (B, T, S), latents (B, A, Z), costs (B, C), and (B, C) bool where a cost was
            dropped in some step because it was not finite.
        """
        given = dict(zip(self.examples, values, strict=True))
        guidance = _TracedGuidance(self, [given["weights"], *list(given.values())[len(INPUTS) :]])
        plan = self.draw(given, guidance)
        found = torch.stack([plan.values[name] for name in self.names], dim=-1)
        return plan.features, plan.latents, found, ~torch.stack(guidance.sound).all(0)

    def draw(self, given: Mapping[str, Tensor], guidance: Any) -> Plan:  # noqa: ANN401 - traced or not
        """Return the plan of inputs with guidance."""
        frame = Frame.of_features(given["features"][:, -1])  # that of an earlier plan is not read
        previous = Plan(given["previous_features"], given["previous_latents"], frame, {}, 0.0, tick=0)
        age: Any = given["age"]  # a tensor, where plans of one process count frames
        return self.planner.draw(
            Window(*(given[name] for name in INPUTS[:4]), tick=age),
            guidance,
            Keyframes(*(given[name] for name in INPUTS[4:7])),
            previous,
            noise=(given["noise_states"], given["noise_latents"]),
        )

    def _traced(self, costs: Sequence[Cost]) -> GraphModule:
        layout = self.planner.layout

        def gradient(tokens: Tensor, pos_w: Tensor, yaw: Tensor, weights: Tensor, *values: Tensor) -> Any:  # noqa: ANN401
            given = with_commands(costs, dict(zip(commands_of(costs), values, strict=True)))
            by_name = dict(zip(self.names, weights.unbind(0), strict=True))
            total, found, sound = gradient_of(given, by_name, layout, tokens, Frame(pos_w, yaw))
            return total, torch.stack(list(found.values()), -1), torch.stack(list(sound.values()), -1)

        features = self.examples["previous_features"]
        frame = Frame.of_features(features[:, 0])
        commands = [self.examples[name] for name in ("weights", *commands_of(costs))]
        try:
            return make_fx(gradient, decomposition_table=_PADS)(features, frame.pos_w, frame.yaw, *commands)
        except RuntimeError as error:
            raise InputError(
                f"costs {', '.join(self.names)}: cannot be traced; use tensor operations alone, no item() "
                f"and no branches on a tensor's numbers: {one_line(error)[:200]}"
            ) from error


class _TracedGuidance:
    """Guidance by the traced gradient, as the sampler calls it."""

    def __init__(self, graph: PlanGraph, commands: Sequence[Tensor]) -> None:
        self.graph, self.commands, self.sound = graph, commands, list[Tensor]()

    def gradient(self, layout: Layout, tokens: Tensor, frame: Frame) -> tuple[Tensor, dict[str, Tensor]]:
        total, values, sound = self.graph.gradient(tokens, frame.pos_w, frame.yaw, *self.commands)
        self.sound.append(sound)
        return total, dict(zip(self.graph.names, values.unbind(-1), strict=True))

    def end_plan(self) -> None:
        """Nothing is logged."""


def write_plan(
    planner: DiffusionPlanner,
    path: str | Path,
    run_path: str,
    costs: Sequence[Cost] | None = None,
    batch: int = 1,
) -> dict[str, float]:
    """Write a planner with its costs; return the largest difference of every output from torch.

    Args:
        planner: on the CPU, with DDIM; its settings become constants.
        path: the ONNX file.
        run_path: where the planner comes from, for the metadata.
        costs: each with another name; by default :func:`default_costs`.
        batch: number B of plans.

    Raises:
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
        InputError: a cost cannot be traced, or the file cannot be written.
        MismatchError: the file computes something else.
    """
    if planner.cfg.kind != "ddim" or planner.cfg.guide_steps < 1:
        raise InputError(
            f"{path}: only plans with sampler.kind 'ddim' and guide_steps 1 or more are exported"
        )
    costs = default_costs(planner.layout, batch=batch) if costs is None else costs
    for module in ("onnx", "onnxscript"):
        require(module, EXTRA)
    Guidance(costs)  # checks the names
    graph = PlanGraph(planner, costs, batch).eval()
    model = _exported(graph, path)
    metadata = of_planner(
        planner.model.header,
        run_path,
        planner.layout,
        steps=planner.cfg.steps,
        costs={name: WEIGHTS.get(name, 1.0) for name in graph.names},
        shapes={name: tuple(value.shape) for name, value in graph.examples.items()},
        defaults={name: _flat(value) for name, value in commands_of(costs).items()},
    )
    with atomic_path(path) as temporary:
        save_model(model, temporary, metadata)
        return require_small(temporary, _differences(temporary, graph, costs))


def _exported(graph: PlanGraph, path: str | Path) -> Any:  # noqa: ANN401 - onnx is optional
    """Return the graph as ``onnx.ModelProto``."""
    passes = require("onnx_ir.passes.common", EXTRA)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                torch.export.export(graph, tuple(graph.examples.values()), strict=False), dynamo=True,
                input_names=list(graph.examples), output_names=list(OUTPUTS), opset_version=OPSET,
                optimize=False, verbose=False,
            )  # fmt: skip
        assert program is not None
        # onnxscript's own optimiser takes minutes for so many nodes; onnxruntime folds them at loading
        for each in (
            passes.InlinePass(),
            passes.CommonSubexpressionEliminationPass(),
            passes.RemoveUnusedNodesPass(),
            passes.ClearMetadataAndDocStringPass(),
        ):
            each(program.model)
        return program.model_proto
    except (RuntimeError, TypeError, torch.onnx.errors.OnnxExporterError) as error:
        cause = one_line(error.__cause__ or error)
        raise InputError(f"{path}: the plan cannot be written as ONNX: {cause[:200]}") from error


def _differences(path: Path, graph: PlanGraph, costs: Sequence[Cost]) -> dict[str, float]:
    """Return the largest differences between the file and the planner in torch with its own guidance."""
    session, generator, largest = Session(path), torch.Generator().manual_seed(0), dict.fromkeys(OUTPUTS, 0.0)
    width = len(INPUTS)
    for sample in range(_SAMPLES):
        inputs = dict(graph.examples)
        for name, value in list(inputs.items())[width:]:
            inputs[name] = 0.5 * torch.randn(value.shape, generator=generator)
        for name in ("noise_states", "noise_latents"):
            inputs[name] = torch.randn(inputs[name].shape, generator=generator)
        inputs["age"] = torch.tensor(sample - 1)
        found = session.run({name: value.numpy() for name, value in inputs.items()})
        commands = {name: inputs[name] for name in list(inputs)[width:]}
        plan = graph.draw(inputs, Guidance(with_commands(costs, commands), inputs["weights"].tolist()))
        values = torch.stack(list(plan.values.values()), -1)
        for name, wanted in zip(OUTPUTS, (plan.features, plan.latents, values), strict=False):
            largest[name] = max(largest[name], difference(found[name], wanted.numpy()))
    return largest


def _example(planner: DiffusionPlanner, costs: int, batch: int) -> dict[str, Tensor]:
    """Return inputs that are no commands: a body at the mean of the states, without keyframes."""
    frames, denoiser = planner.layout.cfg, planner.model.denoiser
    latents, known = denoiser.latent_mean, frames.history + 1
    states = denoiser.state_mean.expand(batch, frames.num_states, -1)
    shape = (batch, KEYS, planner.layout.width)
    values = (
        states[:, :known],
        latents.expand(batch, frames.history, -1),
        torch.ones(batch, frames.history, dtype=torch.bool),
        torch.ones(batch, known, dtype=torch.bool),
        torch.zeros(batch, KEYS),
        torch.zeros(shape),
        torch.zeros(shape, dtype=torch.bool),
        states,
        latents.expand(batch, frames.latent_horizon, -1),
        torch.tensor(-1),
        torch.zeros(batch, frames.num_states, denoiser.model_width),
        torch.zeros(batch, frames.num_latents, denoiser.latent_width),
        torch.ones(costs),
    )
    return dict(zip(INPUTS, values, strict=True))


def _tensors(part: Any, name: str) -> Iterator[tuple[str, Tensor]]:  # noqa: ANN401 - a cost, or a part of one
    for key, value in _fields(part).items():
        if isinstance(value, Tensor):
            yield f"{name}.{key}", value
        elif dataclasses.is_dataclass(value):
            yield from _tensors(value, f"{name}.{key}")


def _replaced(part: Any, name: str, commands: Mapping[str, Tensor]) -> Any:  # noqa: ANN401
    if not dataclasses.is_dataclass(part):
        return part
    made = object.__new__(type(part))  # tensors that are traced cannot be checked
    for key, value in _fields(part).items():
        if isinstance(value, Tensor):
            value = commands[f"{name}.{key}"]
        elif dataclasses.is_dataclass(value):
            value = _replaced(value, f"{name}.{key}", commands)
        object.__setattr__(made, key, value)
    return made


def _fields(part: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the parameters of a data class, with the cost-to-go of path fields; {} for other classes."""
    if not dataclasses.is_dataclass(part):
        return {}
    values = {field.name: getattr(part, field.name) for field in dataclasses.fields(part) if field.init}
    return {key: value.map if isinstance(value, PathField) else value for key, value in values.items()}


def _flat(value: Tensor) -> tuple[float, ...]:
    numbers = value.flatten()
    return tuple((numbers[:1] if bool((numbers == numbers[0]).all()) else numbers).tolist())


def _pad_back(gradient: Tensor, sizes: Sequence[int], dim: int, start: int, end: int, step: int) -> Tensor:
    """Return the gradient of a slice as a padding: one node of a graph, where a scatter is many."""
    dim = dim % len(sizes)
    start = min(max(start + sizes[dim] * (start < 0), 0), sizes[dim])
    if step != 1:
        made = gradient.new_zeros(sizes)
        return torch.slice_scatter(made, gradient, dim, start, end, step)
    after = sizes[dim] - start - gradient.shape[dim]
    return nn.functional.pad(gradient, [0, 0] * (len(sizes) - 1 - dim) + [start, after])


_PADS = {
    torch.ops.aten.slice_backward.default: _pad_back,
    torch.ops.aten.select_backward.default: lambda gradient, sizes, dim, index: _pad_back(
        gradient.unsqueeze(dim), sizes, dim, index % sizes[dim], index % sizes[dim] + 1, 1
    ),
}
