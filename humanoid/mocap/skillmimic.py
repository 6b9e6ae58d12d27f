"""SkillMimic's ball play: one torch tensor (T, 337) a clip, 60 frames a second.

Columns: root position, root rotation vector (twice), 52 joint rotation vectors (they are no
Euler angles), 53 body positions, ball position and rotation vector, six zeros, whether a hand
touches the ball. Names, tree and offsets are those of SkillMimic's ``mocap_humanoid.xml``
(github.com/wyhuai/SkillMimic, Apache-2.0; Wang et al. 2024, arXiv 2408.15270).
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from humanoid.core.errors import InputError, one_line
from humanoid.core.io import LoadCfg, read_bytes
from humanoid.mocap.checks import LARGEST, checked, rebased, to_z_up
from humanoid.mocap.skeleton import Clip, PropTrack
from humanoid.spatial import rotation as rot

FPS = 60.0
COLUMNS = 337
BODIES = 53
ROOT_POS, ROOT_ROT, JOINTS = slice(0, 3), slice(3, 6), slice(9, 165)
BODY_POS, BALL_POS, BALL_ROT, TOUCHED = slice(165, 324), slice(324, 327), slice(327, 330), 336
BALL_RADIUS = 0.12
"""[m] SkillMimic's ball."""
SKILLS = {
    "000": "getup", "001": "pick", "002": "rebound", "003": "catch", "004": "pass", "005": "shot",
    "006": "shot", "007": "shot", "009": "dribble", "011": "dribble left", "012": "dribble right",
    "013": "dribble run", "023": "turn hook", "031": "layup", "034": "turn layup", "040": "turn",
    "041": "back", "042": "turn", "043": "leg turn", "044": "left leg", "045": "left leg",
}  # fmt: skip
"""Skill of a clip by the first three characters of its name."""
NO_BALL = "000"
"""Clips of this skill carry a ball that lies somewhere and means nothing."""

_LEG = (("Hip", (0.109716, -0.0365719, 0.0)), ("Knee", (0.0, -0.461208, 0.0256003)),
        ("Ankle", (0.0, -0.364385, -0.0256003)), ("Toe", (0.0, -0.0986496, 0.156582)))  # fmt: skip
_TRUNK = (("Torso", (0.0, 0.0877726, -0.0279775)), ("Spine", (0.0, 0.106124, 0.0)),
          ("Spine2", (0.0, 0.106124, 0.0)), ("Chest", (0.0, 0.166951, 0.0)),
          ("Neck", (0.0, 0.084247, 0.0146288)), ("Head", (0.0, 0.109716, 0.0)))  # fmt: skip
_ARM = (("Thorax", (0.018286, -0.0295385, 0.0365719)), ("Shoulder", (0.166499, 0.0, 0.0)),
        ("Elbow", (0.252505, 0.0, 0.0)), ("Wrist", (0.243894, 0.0, 0.0)))  # fmt: skip
_FINGERS = (("Index", 0.0343, 0.02401), ("Middle", 0.04116, 0.028812), ("Pinky", 0.0267662, 0.0187364),
            ("Ring", 0.039445, 0.0276115), ("Thumb", 0.0294, 0.02058))  # fmt: skip
"""Finger, and how far its second and third joint are from the one before."""
_KNUCKLES = {
    "L": ((0.100362, 0.0, 0.0561204), (0.0927298, 0.0, 0.029047), (0.0774654, 0.0, -0.0250997),
          (0.0850976, 0.0, 0.00197363), (0.0444569, 0.0, 0.0673445)),
    "R": ((-0.0953267, 0.0, 0.0454889), (-0.0891353, 0.0, 0.0223232), (-0.0767525, 0.0, -0.0240082),
          (-0.0829439, 0.0, -0.000842496), (-0.0430198, 0.0, 0.0545867)),
}  # fmt: skip
"""First joint of each finger in the wrist; the two captured hands differ."""
Bone = tuple[str, str, tuple[float, float, float]]


def _chain(side: str, parent: str, bones: tuple[tuple[str, tuple[float, float, float]], ...]) -> list[Bone]:
    made: list[Bone] = []
    for part, (x, y, z) in bones:
        name = f"{side}_{part}" if side else part
        made.append((name, parent, (-x if side == "R" else x, y, z)))
        parent = name
    return made


def _hand(side: str) -> list[Bone]:
    made: list[Bone] = []
    sign = -1.0 if side == "R" else 1.0
    for (finger, second, third), knuckle in zip(_FINGERS, _KNUCKLES[side], strict=True):
        lift = 0.01 if finger == "Thumb" else 0.0
        made += [
            (f"{side}_{finger}1", f"{side}_Wrist", knuckle),
            (f"{side}_{finger}2", f"{side}_{finger}1", (sign * second, 0.0, lift)),
            (f"{side}_{finger}3", f"{side}_{finger}2", (sign * third, 0.0, 0.0)),
        ]
    return made


BONES: tuple[Bone, ...] = (
    ("Pelvis", "", (0.0, 0.0, 0.0)),
    *_chain("L", "Pelvis", _LEG), *_chain("R", "Pelvis", _LEG), *_chain("", "Pelvis", _TRUNK),
    *_chain("L", "Chest", _ARM), *_hand("L"), *_chain("R", "Chest", _ARM), *_hand("R"),
)  # fmt: skip
"""Joint, parent, offset [m] in the file's axes: y up, z forward, x left."""


def load(path: Path, cfg: LoadCfg | None = None) -> Clip:
    """Read one clip with all its 53 joints, and the ball where there is one.

    Joint frames are turned so that the skeleton stands upright at zero rotation. The body
    positions of the file, logged from a simulated replay, are not used.

    Raises:
        InputError: damaged or hostile file, a tensor of another shape or type, numbers that
            are not finite.
    """
    cfg = cfg or LoadCfg()
    table = _table(path)
    bad = ~(table.abs() <= LARGEST)  # also true of NaN
    if bad.any():
        frame, column = bad.nonzero()[0].tolist()
        raise InputError(f"{path}: frame {frame}, column {column}: not finite or absurdly large")
    model_axes = to_z_up("y")
    root = rot.exp(table[:, ROOT_ROT])
    joints = rot.exp(table[:, JOINTS].reshape(len(table), BODIES - 1, 3))
    root = rot.mul(root, rot.conjugate(model_axes).expand_as(root))
    names = [bone[0] for bone in BONES]
    skill = path.name[:3]
    kind = SKILLS.get(skill, "")
    clip = Clip(
        name=path.stem,
        fps=cfg.fps or FPS,
        joint_names=tuple(names),
        parents=tuple(names.index(parent) if parent else -1 for _, parent, _ in BONES),
        offsets=rot.rotate(model_axes, torch.tensor([bone[2] for bone in BONES], dtype=torch.float64)),
        root_pos_w=table[:, ROOT_POS],
        local_quat=torch.cat((root[:, None], rebased(model_axes, joints)), dim=1),
        source=f"skillmimic:{skill} {kind}" if kind else f"skillmimic:{path.name}",
        licence="Apache-2.0",
        props=() if skill == NO_BALL else (_ball(table),),
    )
    return checked(path, clip)


def _ball(table: Tensor) -> PropTrack:
    return PropTrack(
        name="ball",
        pos_w=table[:, BALL_POS],
        quat_w=rot.exp(table[:, BALL_ROT]),
        touched=table[:, TOUCHED] > 0.5,
        size=(BALL_RADIUS, BALL_RADIUS, BALL_RADIUS),
    )


def _table(path: Path) -> Tensor:
    """Return the table (T, 337) of a file, columns as described above."""
    data = read_bytes(path)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > len(data):
                raise InputError(f"{path}: members are packed; torch stores them as they are")
        table = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except InputError:
        raise
    except Exception as error:  # a damaged zip raises a dozen unrelated kinds
        raise InputError(f"{path}: no readable torch file (truncated?): {one_line(error)[:200]}") from error
    if type(table) is not Tensor or table.layout != torch.strided or table.dtype != torch.float32:
        found = f"a {table.dtype} tensor" if isinstance(table, Tensor) else f"a {type(table).__name__}"
        raise InputError(f"{path}: holds {found}, expected one dense tensor of float32")
    if table.ndim != 2 or table.shape[1] != COLUMNS or not table.is_contiguous():
        raise InputError(
            f"{path}: a tensor of shape {tuple(table.shape)}, strides {table.stride()}; "
            f"expected (frames, {COLUMNS}) without gaps"
        )
    return table.double()
