"""The verbs below ``humanoid eval``: how well policies do what they were trained for."""

from __future__ import annotations

from typing import Any, Literal

from humanoid.cli.output import progress, quiet_stdout, shipped, show

Sims = tuple[Literal["mujoco", "genesis"], ...]


def track(
    checkpoint: str = "",
    motions: tuple[str, ...] = (),
    clips: tuple[str, ...] = (),
    split: Literal["all", "train", "test"] = "all",
    sim: Sims = ("mujoco",),
    device: str = "cpu",
    starts: int = 8,
    seed: int = 0,
    friction: float = 0.0,
    latency: float = 0.0,
    noise: float = 0.0,
    randomized: bool = False,
    perturb: bool = False,
    sizes: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0),
    seconds: float = 15.0,
    json: bool = False,
) -> None:
    """Measure a tracker on every clip from its start, or pushed while it walks.

    Args:
        checkpoint: tracker; the shipped one by default.
        motions: manifests, capture files, npz motions or folders; by default what it learned.
        clips: names or tags to keep of manifests.
        split: the manifests' clips to learn from, those kept back, or both.
        sim: simulator, or both, one after the other.
        device: torch device of genesis; mujoco runs on cpu.
        starts: starts of each clip, joints +-0.05 rad and root +-0.2 m/s apart.
        seed: seed of the starts.
        friction: of the floor; 0: what it was trained with.
        latency: time until a command reaches the servos [s].
        noise: factor on the noise that observations had in training.
        randomized: draw masses, gains, friction and latency as in training.
        perturb: push walks and runs every second, harder and harder, and tell where half fall.
        sizes: velocities that a push adds to the root [m/s].
        seconds: of a pushed run.
        json: print one JSON object instead of a table.
    """
    from humanoid.eval import perturb as pushing
    from humanoid.eval import report, tracking

    common: dict[str, Any] = {
        "checkpoint": checkpoint or shipped("tracker.pt"), "motions": motions, "clips": clips,
        "split": split, "sim": sim, "device": device, "starts": starts, "seed": seed,
        "friction": friction, "latency": latency, "noise": noise, "randomized": randomized,
    }  # fmt: skip
    with quiet_stdout():
        if perturb:
            cfg = pushing.PerturbCfg(**common, sizes=sizes, seconds=seconds)
            table, result = pushing.table, pushing.perturb(cfg, progress("step"))
        else:
            table, result = report.table, tracking.evaluate(tracking.EvalCfg(**common), progress("step"))
    show(result, json, table)


def recover(
    checkpoint: str = "",
    motions: tuple[str, ...] = (),
    clips: tuple[str, ...] = (),
    split: Literal["all", "train", "test"] = "all",
    sim: Sims = ("mujoco",),
    device: str = "cpu",
    falls: int = 128,
    seconds: float = 5.0,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Measure whether a tracker gets up after random falls.

    Args:
        checkpoint: tracker; the shipped one by default.
        motions: manifests, capture files, npz motions or folders; by default what it learned.
        clips: names or tags to keep of manifests.
        split: the manifests' clips to learn from, those kept back, or both.
        sim: simulator, or both, one after the other.
        device: torch device of genesis; mujoco runs on cpu.
        falls: bodies that are dropped, to get up again.
        seconds: in which a body must be up.
        seed: seed of the falls.
        json: print one JSON object instead of a table.
    """
    from humanoid.eval import recover as rising

    cfg = rising.RecoverCfg(
        checkpoint=checkpoint or shipped("tracker.pt"),
        motions=motions,
        clips=clips,
        split=split,
        sim=sim,
        device=device,
        falls=falls,
        seconds=seconds,
        seed=seed,
    )
    with quiet_stdout():
        result = rising.recover(cfg, progress("step"))
    show(result, json, rising.table)


def latent(
    checkpoint: str = "",
    teacher: str = "",
    motions: tuple[str, ...] = (),
    clips: tuple[str, ...] = (),
    sim: Sims = ("mujoco",),
    device: str = "cpu",
    starts: int = 4,
    falls: int = 100,
    seconds: float = 30.0,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Measure latent skills beside their teacher, and how often the prior alone falls.

    Args:
        checkpoint: latent skills; the shipped ones by default.
        teacher: the tracker they were distilled from; the shipped walker by default.
        motions: manifests, files or folders; by default those the checkpoint names: the shipped one the
            clip that comes with the package, a walk.
        clips: names or tags to keep of manifests.
        sim: simulator, or both, one after the other.
        device: torch device of genesis; mujoco runs on cpu.
        starts: starts of each clip.
        falls: bodies that follow samples of the prior; 0 leaves that out.
        seconds: for how long they do.
        seed: of starts and samples.
        json: print one JSON object instead of a table.
    """
    from humanoid.eval import latent as skills

    cfg = skills.LatentEvalCfg(
        checkpoint=checkpoint or shipped("latent.pt"),
        teacher=teacher or shipped("walker.pt"),
        motions=motions,
        clips=clips,
        sim=sim,
        device=device,
        starts=starts,
        falls=falls,
        seconds=seconds,
        seed=seed,
    )
    with quiet_stdout():
        result = skills.evaluate(cfg, progress("step"))
    show(result, json, skills.table)


def guide(
    task: str = "joystick",
    n: int = 100,
    latent: str = "",
    diffusion: str = "",
    motions: tuple[str, ...] = (),
    clips: tuple[str, ...] = (),
    sim: Sims = ("mujoco",),
    device: str = "cpu",
    guidance: Literal["both", "on", "off"] = "both",
    frame: Literal["world", "heading"] = "world",
    ways: bool = True,
    replan: float = 0.2,
    latency: int = 0,
    steps: int = 8,
    weights: tuple[str, ...] = (),
    seed: int = 0,
    json: bool = False,
) -> None:
    """Measure guided skills on a task that no training has seen, with guidance on and off.

    Args:
        task: joystick, waypoint, forest, inbetween, perturb, switch or joystick+forest.
        n: episodes.
        latent: latent skills; the shipped ones by default.
        diffusion: planner; the shipped one by default.
        motions: where bodies start and keyframes are from: manifests, files or folders; by default those the
            skills' checkpoint names: the shipped one the clip that comes with the package, a walk.
        clips: names or tags of manifests to keep.
        sim: simulator, or both, one after the other.
        device: torch device of genesis and of the plans; mujoco runs on cpu.
        guidance: with the task's costs, without, or one after the other.
        frame: of the joystick's four directions: the world's, or the body's own heading.
        ways: forest: follow a map of ways round the pillars; --no-ways leaves that to the obstacles' cost.
        replan: time between plans [s].
        latency: frames of 0.04 s that pass before a plan is there.
        steps: denoising steps of a plan.
        weights: COST=WEIGHT, such as joystick=2 obstacles=0.5; those not named keep their defaults.
        seed: of starts, scenes, commands and plans.
        json: print one JSON object instead of a table.
    """
    from humanoid.core.config import load_config
    from humanoid.eval import tasks as guiding
    from humanoid.planning.sampler import SamplerCfg
    from humanoid.tasks.task import TaskCfg

    given = [f"weights.{pair}" for pair in weights]
    loop = load_config(guiding.LoopCfg, None, [f"replan={replan}", f"latency={latency}", *given])
    cfg = guiding.GuideCfg(
        latent=latent or shipped("latent.pt"),
        diffusion=diffusion or shipped("diffusion-small.pt"),
        task=task,
        n=n,
        motions=motions,
        clips=clips,
        sim=sim,
        device=device,
        seed=seed,
        guidance=guidance,
        loop=loop,
        setup=TaskCfg(frame=frame, ways=ways),
        sampler=SamplerCfg(steps=steps),
    )
    with quiet_stdout():
        result = guiding.guide(cfg, progress("step"))
    show(result, json, guiding.table)
