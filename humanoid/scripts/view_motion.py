"""``humanoid motions view``: browser page with the captured skeleton beside the body.

Play, pause, step and slow down each clip; feet labelled as in contact are green, and the panel
lists the quality metrics.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from humanoid.bodies import catalogue
from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import HumanoidError, InputError, require
from humanoid.datasets.sources import perform, resolve
from humanoid.mocap import Clip
from humanoid.motion.motion import Motion
from humanoid.retarget.quality import measure
from humanoid.retarget.thresholds import QualityCfg
from humanoid.scripts.check import figures
from humanoid.scripts.verbs import ViewCfg
from humanoid.view import Bar, Browser, CapturedSkeleton, Recording, say
from humanoid.view.browser import EXTRA


def main(cfg: ViewCfg, body: Embodiment | None = None) -> None:
    """Serve the page until interrupted.

    Args:
        cfg: what to show.
        body: embodiment of the motions, or to retarget captures to; that of ``cfg.embodiment`` if None.

    Raises:
        InputError: the source does not exist or is malformed.
        MissingExtraError: viser is not installed.
    """
    page = open_page(cfg, body)
    say(f"open {page.address} in a browser; Ctrl-C ends")
    try:
        page.run()
    finally:
        page.close()


def open_page(cfg: ViewCfg, body: Embodiment | None = None) -> Browser:
    """Return the page with all motions loaded; ``run`` starts playback."""
    require("viser", EXTRA)  # before the retargeting, which takes time
    body = catalogue.embodiment(cfg.embodiment) if body is None else body
    items, missing = resolve([cfg.source], cfg.clips)
    for row in missing:
        say(f"left out: {row['error']}")
    recordings, bar = [], Bar("motion")
    for index, item in enumerate(items):
        try:
            recordings.append(recording_of(*perform(item, body), body))
        except HumanoidError as error:
            if len(items) == 1:
                raise
            say(f"left out: {error}")
        bar(index + 1, len(items))
    if not recordings:
        raise InputError(f"{cfg.source}: no motion of '{body.name}' to view; check it with: "
                         "humanoid motions check")  # fmt: skip
    return Browser(body, recordings, cfg.port)


def recording_of(motion: Motion, clip: Clip | None, body: Embodiment) -> Recording:
    """Return a motion and its capture as the page shows them.

    Args:
        motion: on ``body``.
        clip: the capture at the frame rate of the motion, or None.
        body: the embodiment.
    """
    motion = motion.for_body(body)
    quality = measure(motion, body)
    share = [(f"{foot} stands", f"{100 * part:.0f} %", True) for foot, part in quality.contact_share.items()]
    source = None
    if clip is not None:
        pos, quat = map(_numpy, clip.global_poses())
        source = CapturedSkeleton(pos=pos, quat=quat, offsets=_numpy(clip.offsets), parents=clip.parents)
    frames = (f"{motion.num_frames} at {motion.fps:g} Hz", True)
    landmarks = {label: point.body for label, point in body.landmarks.items()}
    return Recording(
        name=motion.name,
        fps=motion.fps,
        pos=_numpy(motion.states.body_pos_w),
        quat=_numpy(motion.states.body_quat_w),
        body_names=body.body_names,
        contact=_numpy(motion.contact).astype(bool),
        contact_names=tuple(
            label if label in body.body_names else landmarks.get(label, label)
            for label in motion.contact_names
        ),
        source=source,
        objects=() if clip is None else clip.props,
        notes=(("frames", *frames), *figures(quality, QualityCfg()), *share),
    )


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
