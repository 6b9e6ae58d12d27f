"""``humanoid export``: a trained tracker as an ONNX file for a robot's controller.

Normaliser and network are in the file, and in its metadata everything that a controller
needs besides: joints in order, gains, default pose, action scale, terms of the observation,
rate, fingerprint of the body. In BeyondMimic's form (the default for a G1) the motion is
inside too: ``obs, time_step -> actions, joint_pos, joint_vel, body_pos_w, ...``. What was
written is run with onnxruntime and compared with torch before this returns. Latent skills
and planners are exported by :mod:`humanoid.scripts.export_skills`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from humanoid.bodies import catalogue
from humanoid.core.config import from_dict
from humanoid.core.errors import ConfigError, MismatchError, require
from humanoid.core.runs import atomic_path
from humanoid.datasets.sources import load_motions
from humanoid.export import onnx
from humanoid.export.metadata import PolicyMetadata, of_checkpoint
from humanoid.motion.motion import Motion
from humanoid.nn.checkpoint import Checkpoint, Header, read_torch
from humanoid.retarget.pipeline import RetargetCfg
from humanoid.rl.checkpoints import KIND
from humanoid.scripts import export_skills
from humanoid.scripts.verbs import ExportCfg

Format = Literal["auto", "policy", "beyondmimic"]


def main(cfg: ExportCfg) -> dict[str, Any]:
    """Export a checkpoint and return what the file holds.

    Raises:
        InputError: the checkpoint, the motion or the robot's file is missing or malformed.
        ConfigError: several motions would fit, or none is named, or one for what performs none.
        MismatchError: the tracker cannot take that form, or the file computes something else.
        MissingExtraError: onnx or onnxruntime is not installed.
    """
    for module in ("onnx", "onnxruntime"):
        require(module, onnx.EXTRA)
    kind = Header.read(read_torch(cfg.checkpoint), cfg.checkpoint).kind
    if kind not in export_skills.KINDS:
        return _tracker(cfg)
    if cfg.format != "auto" or cfg.motion or cfg.motions:
        raise ConfigError(
            f"{cfg.checkpoint}: holds a '{kind}', which has one format and no motion; leave them out"
        )
    return export_skills.export(kind, cfg)


def _tracker(cfg: ExportCfg) -> dict[str, Any]:
    """Export a tracker."""
    checkpoint = Checkpoint.load(cfg.checkpoint, KIND)
    policy = checkpoint.policy()
    metadata = of_checkpoint(checkpoint.header, Path(cfg.checkpoint).as_posix())
    form, clip = _form(cfg, metadata), ""
    if form == "beyondmimic":
        _require_default_pose(cfg, metadata)
        motion = _motion(cfg, checkpoint, metadata)
        policy = onnx.MotionPolicy(policy, motion, metadata.joint_names, metadata.body_names)
        clip = motion.name
    with atomic_path(cfg.out) as unproven:  # a file that computes something else never gets its name
        if isinstance(policy, onnx.MotionPolicy):
            onnx.write_motion_policy(policy, unproven, metadata)
        else:
            onnx.write_policy(policy, unproven, metadata)
        difference = onnx.require_parity(unproven, policy)
    return {
        "file": cfg.out,
        "format": form,
        "body": metadata.body,
        "motion": clip,
        "observation": dict(zip(metadata.observation_names, metadata.observation_widths, strict=True)),
        "actions": len(metadata.joint_names),
        "bytes": Path(cfg.out).stat().st_size,
        "difference": difference,
    }


def table(result: dict[str, Any]) -> str:
    """Return what was written as text."""
    if "observation" not in result:
        return export_skills.table(result)
    terms = ", ".join(f"{name} {width}" for name, width in result["observation"].items())
    inside = f" with '{result['motion']}' inside" if result["motion"] else ""
    return "\n".join(
        (
            f"{result['file']}  {result['bytes'] / 1e6:.2f} MB, {result['format']}, {result['body']}{inside}",
            f"observation  {sum(result['observation'].values())}: {terms}",
            f"actions      {result['actions']}",
            f"difference   {max(result['difference'].values()):.1e} between onnxruntime and torch",
        )
    )


def _form(cfg: ExportCfg, metadata: PolicyMetadata) -> Format:
    """Return the form that is meant."""
    if cfg.format == "policy" and cfg.motion:
        raise ConfigError(f"format 'policy' holds no motion, but motion is '{cfg.motion}'; use beyondmimic")
    if cfg.format != "auto":
        return cfg.format
    return "beyondmimic" if cfg.motion or metadata.body == "g1" else "policy"


def _require_default_pose(cfg: ExportCfg, metadata: PolicyMetadata) -> None:
    """Refuse a form whose readers would add the actions to another pose than the policy means."""
    if metadata.action_around != "default":
        raise MismatchError(
            f"{cfg.checkpoint}: its actions are around the {metadata.action_around}, in BeyondMimic's form "
            "around the default pose; train with task.action.around=default or export with format policy"
        )


def _motion(cfg: ExportCfg, checkpoint: Checkpoint, metadata: PolicyMetadata) -> Motion:
    """Return the one motion that goes inside."""
    trained = checkpoint.header.config
    source = cfg.motions or trained.get("motions", "")
    clips = () if cfg.motions else tuple(trained.get("clips", ()))
    if cfg.motion:  # never a tag, which may have the same name
        clips = (cfg.motion if set(cfg.motion) & {":", "/"} else f"clip:{cfg.motion}",)
    path = Path(source) if isinstance(source, str) else Path()
    one_file = path.is_file() and path.suffix.lower() not in (".yaml", ".yml")
    if not (one_file or len(clips) == 1):
        raise ConfigError(f"{cfg.checkpoint}: which motion of {source} goes inside? give its name: motion")
    body = catalogue.trained(trained, checkpoint.header.body, cfg.checkpoint)
    retarget = from_dict(RetargetCfg, trained.get("retarget", {}), cfg.checkpoint)
    found = load_motions(source, body, clips, retarget).motions
    if len(found) != 1:
        names = ", ".join(motion.name for motion in found[:6]) + (", ..." if len(found) > 6 else "")
        raise ConfigError(f"{source}: {len(found)} motions fit ({names}); say which by its name: motion")
    (motion,) = found
    if abs(motion.fps * metadata.control_dt - 1.0) > 1e-4:
        rate = 1.0 / metadata.control_dt
        raise MismatchError(f"motion '{motion.name}' has {motion.fps:g} fps, the policy acts at {rate:g} Hz")
    return motion
