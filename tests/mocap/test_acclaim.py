"""The Acclaim loader against textbook kinematics, a BVH file and pybvh, and bad files."""

from __future__ import annotations

import itertools
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from humanoid import mocap
from humanoid.mocap import Clip, LoadCfg, acclaim, amc, asf
from tests.mocap import acclaim_samples as odd

CMU_INCH = 0.0254 / 0.45
WALK = "02_01.amc"


# -- textbook kinematics ---------------------------------------------------------------------


def row_matrix(order: str, angles: dict[str, float]) -> np.ndarray:
    """Return the matrix for row vectors that turns by degrees about axes, first to last."""
    matrix = np.eye(3)
    for axis in order:
        c, s = math.cos(math.radians(angles[axis])), math.sin(math.radians(angles[axis]))
        matrix = matrix @ np.array(
            {"x": ((1, 0, 0), (0, c, s), (0, -s, c)),
             "y": ((c, 0, -s), (0, 1, 0), (s, 0, c)),
             "z": ((c, s, 0), (-s, c, 0), (0, 0, 1))}[axis]
        )  # fmt: skip
    return matrix


def textbook(skeleton: str, motion: str, frame: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return start and end of every bone in a frame, in the file's axes and unit, degrees."""
    said: dict[str, list[float]] = {}
    body = re.split(r"^\d+\s*$", motion, flags=re.MULTILINE)[1:][frame]
    for row in body.split("\n"):
        if row.split():
            said[row.split()[0]] = [float(word) for word in row.split()[1:]]

    def local(name: str, dofs: str, axis: dict[str, float], order: str) -> np.ndarray:
        values = dict(zip(dofs.lower().split(), said.get(name, []), strict=name in said))
        turns = {dof[1]: value for dof, value in values.items() if dof.startswith("r")}
        c = row_matrix(order.lower(), axis)
        return np.linalg.inv(c) @ row_matrix("".join(turns), turns) @ c

    root = skeleton.split(":root")[1].split(":bonedata")[0]
    order = re.findall(r"order (.*)", root)[0].lower().split()
    place = dict(zip(order, said["root"], strict=True))
    start = np.array([place[f"t{axis}"] for axis in "xyz"])
    start = start + [float(word) for word in re.findall(r"position (.*)", root)[0].split()]
    angles = dict(zip("xyz", map(float, re.findall(r"orientation (.*)", root)[0].split()), strict=True))
    turn = local("root", " ".join(order), angles, re.findall(r"axis (\w+)", root)[0])
    done = {"root": (start, start, turn)}

    bones = {}
    for block in re.findall(
        r"begin(.*?)end", skeleton.split(":bonedata")[1].split(":hierarchy")[0], re.DOTALL
    ):
        found = {row.split()[0]: row.split()[1:] for row in block.split("\n") if row.split()}
        bones[found["name"][0]] = found
    for row in skeleton.split(":hierarchy")[1].split("\n"):
        parent, *children = row.split() or [""]
        for name in children:
            bone = bones[name]
            *numbers, order_of_axes = bone["axis"]
            axis = dict(zip("xyz", map(float, numbers), strict=True))
            turn = local(name, " ".join(bone.get("dof", [])), axis, order_of_axes) @ done[parent][2]
            way = np.array([float(word) for word in bone["direction"]]) * float(bone["length"][0])
            done[name] = done[parent][1], done[parent][1] + way @ turn, turn
    return {name: (start, end) for name, (start, end, _) in done.items()}


def compare(skeleton: Path, motion: Path, metres: float, frames: range) -> None:
    clip = mocap.load(motion)
    pos, _ = clip.global_poses()
    for frame in frames:
        want = textbook(skeleton.read_text(), motion.read_text(), frame)
        bones = [name for name in clip.joint_names if not name.endswith("_end")]
        assert set(bones) == set(want)
        for name in clip.joint_names:
            x, y, z = want[name][0] if name in want else want[name.removesuffix("_end")][1]
            np.testing.assert_allclose(
                pos[frame, clip.joint_id(name)], np.array((z, x, y)) * metres, atol=1e-5, err_msg=name
            )


def test_odd_axes_against_the_textbook(tmp_path: Path) -> None:
    compare(tmp_path / "odd.asf", odd.write(tmp_path), 0.0254, range(odd.FRAMES))


def test_cmu_against_the_textbook(mocap_data: Path) -> None:
    compare(mocap_data / "cmu" / "02.asf", mocap_data / "cmu" / WALK, CMU_INCH, range(0, 340, 60))


# -- a BVH file of the same take, read by pybvh ------------------------------------------------


def write_bvh(clip: Clip, path: Path) -> list[str]:
    """Write a clip as BVH, y and z as they are, in centimetres; return its nodes in file order."""
    children = [[j for j, p in enumerate(clip.parents) if p == i] for i in range(len(clip.parents))]
    offsets = clip.offsets.double().numpy() * 100
    nodes: list[int] = []
    lines = ["HIERARCHY"]

    def node(joint: int, indent: str) -> None:
        nodes.append(joint)
        name = clip.joint_names[joint]
        is_end = name.endswith("_end")
        head = "End Site" if is_end else f"{'JOINT' if indent else 'ROOT'} {name}"
        lines.extend((f"{indent}{head}", f"{indent}{{"))
        lines.append(f"{indent}  OFFSET " + " ".join(f"{value:.8f}" for value in offsets[joint]))
        if not is_end:
            moves = "3" if indent else "6 Xposition Yposition Zposition"
            lines.append(f"{indent}  CHANNELS {moves} Zrotation Yrotation Xrotation")
        for child in children[joint]:
            node(child, indent + "  ")
        lines.append(f"{indent}}}")

    node(0, "")
    columns = [clip.root_pos_w.double().numpy() * 100]
    for joint in nodes:
        if not clip.joint_names[joint].endswith("_end"):
            turn = Rotation.from_quat(clip.local_quat[:, joint].double().numpy(), scalar_first=True)
            columns.append(turn.as_euler("ZYX", degrees=True))
    table = np.concatenate(columns, axis=1)
    lines += ["MOTION", f"Frames: {len(table)}", f"Frame Time: {1 / clip.fps:.8f}"]
    lines += [" ".join(f"{value:.6f}" for value in row) for row in table]
    path.write_text("\n".join(lines) + "\n")
    return [clip.joint_names[joint] for joint in nodes]


def check_round_trip(clip: Clip, path: Path) -> None:
    pybvh = pytest.importorskip("pybvh")
    names = write_bvh(clip, path)
    theirs = pybvh.read_bvh_file(str(path)).node_positions() / 100
    pos, _ = clip.global_poses()
    ours = pos[:, [clip.joint_id(name) for name in names]].numpy()
    assert np.abs(theirs - ours).max() < 1e-3
    # and through this project's own reader, metres told or not
    again = mocap.load(path, LoadCfg(units="cm", up="z"))
    pos_again, _ = again.global_poses()
    for name in clip.joint_names:
        if name in again.joint_names:
            place = pos_again[:, again.joint_id(name)]
            torch.testing.assert_close(place, pos[:, clip.joint_id(name)], atol=1e-3, rtol=0)


def test_odd_axes_as_bvh(tmp_path: Path) -> None:
    check_round_trip(mocap.load(odd.write(tmp_path)), tmp_path / "odd.bvh")


def test_cmu_as_bvh(mocap_data: Path, tmp_path: Path) -> None:
    check_round_trip(mocap.load(mocap_data / "cmu" / WALK), tmp_path / "walk.bvh")


# -- properties --------------------------------------------------------------------------------


def test_a_cmu_walk_by_plain_sense(mocap_data: Path) -> None:
    clip = mocap.load(mocap_data / "cmu" / WALK)
    pos, _ = clip.global_poses()
    at = {name: pos[:, index] for index, name in enumerate(clip.joint_names)}
    assert (clip.fps, clip.num_frames) == (120.0, 343)
    assert float((clip.root_pos_w[-1] - clip.root_pos_w[0])[:2].norm()) > 2.0
    limbs = ("head_end", "head", "upperneck", "lowerneck", "thorax", "upperback", "lowerback")
    chain = [at[name] for name in (*limbs, "lfemur", "ltibia", "lfoot")]
    stature = sum(float((a - b).norm(dim=-1)[0]) for a, b in itertools.pairwise(chain))
    assert 1.5 < stature < 2.0
    assert (at["head"][:, 2] - at["ltibia"][:, 2] > 0.8).all(), "up is +z"
    lowest = torch.minimum(at["ltoes_end"], at["rtoes_end"])[:, 2]
    assert float(lowest.min()) > -0.05 and float(lowest.max()) < 0.15
    ahead = clip.root_pos_w[-1] - clip.root_pos_w[0]
    left = (at["lfemur"] - at["rfemur"]).mean(0)
    assert float(ahead[0] * left[1] - ahead[1] * left[0]) > 0.1, "left is left of where one walks"
    for joint, parent in enumerate(clip.parents[1:], 1):
        length = (pos[:, joint] - pos[:, parent]).norm(dim=-1)
        assert float(length.max() - length.min()) < 1e-5


def test_all_cmu_takes_load(mocap_data: Path) -> None:
    for path in sorted((mocap_data / "cmu").glob("*.amc")):
        pos, _ = mocap.load(path).global_poses()
        assert float(pos[..., 2].min()) > -0.3 and float(pos[..., 2].max()) < 3.0


def same(a: Clip, b: Clip) -> None:
    assert (a.joint_names, a.parents, a.num_frames) == (b.joint_names, b.parents, b.num_frames)
    torch.testing.assert_close(a.global_poses()[0], b.global_poses()[0], atol=2e-5, rtol=0)


def test_radians(tmp_path: Path) -> None:
    degrees = mocap.load(odd.write(tmp_path))
    values = odd.table()
    values[:, 3:] = np.radians(values[:, 3:])
    path = tmp_path / "odd_02.amc"
    path.write_text(odd.amc(values, head=":FULLY-SPECIFIED\n:RADIANS\n"))
    torch.testing.assert_close(mocap.load(path).local_quat, degrees.local_quat, atol=1e-4, rtol=0)

    def in_radians(found: re.Match[str]) -> str:
        angles = " ".join(repr(math.radians(float(word))) for word in found[2].split())
        return f"{found[1]} {angles} {found[3]}"

    text = odd.ASF.replace("angle deg", "angle rad")
    text = re.sub(r"(axis) (\S+ \S+ \S+) (\w+)", in_radians, text)
    text = re.sub(r"(orientation) (\S+ \S+ \S+)()", in_radians, text)
    (tmp_path / "odd.asf").write_text(text)
    path.write_text(odd.amc(values, head=":FULLY-SPECIFIED\n"))
    torch.testing.assert_close(mocap.load(path).local_quat, degrees.local_quat, atol=1e-4, rtol=0)


def test_units_and_axis_up(tmp_path: Path) -> None:
    path = odd.write(tmp_path)
    inches = mocap.load(path)
    for cfg, metres in ((LoadCfg(units="m"), 1.0), (LoadCfg(units="cm"), 0.01), (LoadCfg(units="mm"), 1e-3)):
        clip = mocap.load(path, cfg)
        torch.testing.assert_close(clip.offsets, inches.offsets * (metres / 0.0254))
        torch.testing.assert_close(clip.root_pos_w, inches.root_pos_w * (metres / 0.0254))
    for factor in (0.0254, 2.54, 25.4):  # told from the size
        text = re.sub(
            r"(length) ([\d.]+)\n     axis",
            lambda m, f=factor: f"{m[1]} {float(m[2]) * f}\n     axis",
            odd.ASF,
        )
        (tmp_path / "odd.asf").write_text(text)
        torch.testing.assert_close(mocap.load(path).offsets, inches.offsets)
    (tmp_path / "odd.asf").write_text(odd.ASF.replace("length 1.0", "length 2.0"))
    torch.testing.assert_close(mocap.load(path).offsets, inches.offsets / 2)
    (tmp_path / "odd.asf").write_text(odd.ASF)
    for cfg, order in ((LoadCfg(up="z"), (1, 2, 0)), (LoadCfg(up="x"), (2, 0, 1))):
        clip = mocap.load(path, cfg)
        torch.testing.assert_close(clip.root_pos_w, inches.root_pos_w[:, order])
        torch.testing.assert_close(clip.global_poses()[0], inches.global_poses()[0][..., order])


def test_rate(tmp_path: Path) -> None:
    path = odd.write(tmp_path)
    assert mocap.load(path).fps == 120.0
    assert mocap.load(path, LoadCfg(fps=60.0)).fps == 60.0
    path.write_text(odd.amc(odd.table(), head=":SAMPLES-PER-SECOND 30\n:DEGREES\n"))
    assert mocap.load(path).fps == 30.0


def test_any_layout_gives_the_same(tmp_path: Path) -> None:
    path = odd.write(tmp_path)
    whole, text = mocap.load(path), path.read_text()
    lines = text.splitlines()
    swapped = [*lines[:4], lines[5], lines[4], *lines[6:]]  # the first frame names its bones in another order
    shouting = text.replace(" 0.", " .").replace("-0.", "-.")
    noisy = text.replace("\n", " \t\r\n") + "\n\n# end\n"
    numbered = odd.amc(odd.table(), first=101)
    longer = re.sub(r"(\d\.\d+)(?=[ \n])", r"\g<1>00000000000", text)
    still = "\n".join(line for line in lines if not line.startswith("arm"))
    for changed in ("\n".join(swapped), shouting, noisy, numbered, longer, text.rstrip()):
        path.write_text(changed, newline="")
        same(mocap.load(path), whole)
    path.write_text(still)  # a bone that no frame names stays at rest
    clip = mocap.load(path)
    assert (clip.local_quat[:, clip.joint_id("arm")] == torch.tensor((1.0, 0, 0, 0))).all()
    others = [i for i, name in enumerate(clip.joint_names) if name != "arm"]
    torch.testing.assert_close(clip.local_quat[:, others], whole.local_quat[:, others])


def test_both_ways_of_reading_agree_over_many_blocks(tmp_path: Path) -> None:
    path = tmp_path / "odd_01.amc"
    path.write_text(odd.amc(odd.table(3000)))
    quick = amc.read(path, odd.DOFS)
    path.write_text(odd.amc(odd.table(3000)) + "# a remark\n")
    slow = amc.read(path, odd.DOFS)
    assert list(quick.values) == list(slow.values) == list(odd.DOFS)
    for name, values in quick.values.items():
        assert (values == slow.values[name]).all() and values.shape == (3000, odd.DOFS[name])


def test_sliding_and_stretching_bones_keep_their_mean(tmp_path: Path) -> None:
    path = odd.write(tmp_path)
    whole = mocap.load(path)
    (tmp_path / "odd.asf").write_text(odd.ASF.replace("dof ry\n", "dof tx ry l\n"))
    values = odd.table()
    text = path.read_text()
    path.write_text(re.sub(r"shin (\S+)", r"shin 2.0 \1 1.5", text))
    clip = mocap.load(path)
    shin, end = clip.joint_id("shin"), clip.joint_id("shin_end")
    slid = (clip.offsets - whole.offsets).norm(dim=-1) / 0.0254
    assert float(slid[shin]) == pytest.approx(2.0, rel=1e-4)
    assert float(slid[end]) == pytest.approx(1.5, rel=1e-4)
    assert float(slid.sum()) == pytest.approx(3.5, rel=1e-4)
    torch.testing.assert_close(clip.local_quat, whole.local_quat)
    assert len(values) == clip.num_frames


def test_which_skeleton_is_taken(tmp_path: Path, mocap_data: Path) -> None:
    path = odd.write(tmp_path)
    whole = mocap.load(path)
    other = odd.ASF.replace("length 9\n", "length 8\n")
    for name in ("od.asf", "odd_0.asf", "zzz.ASF"):
        (tmp_path / name).write_text("no skeleton")
    same(mocap.load(path), whole)  # the subject's
    (tmp_path / "odd_01.asf").write_text(other)
    assert not torch.equal(mocap.load(path).offsets, whole.offsets)  # the take's own
    given = tmp_path / "given"
    given.mkdir()
    (given / "mine.asf").write_text(odd.ASF)
    same(mocap.load(path, LoadCfg(skeleton=str(given / "mine.asf"))), whole)
    shutil.copy(path, given / "another.amc")
    same(mocap.load(given / "another.amc"), whole)  # the only one there
    assert acclaim.find_skeleton(mocap_data / "cmu" / WALK, LoadCfg()).name == "02.asf"


def test_root_that_does_not_move(tmp_path: Path) -> None:
    path = tmp_path / "still.amc"
    text = odd.ASF.replace("order TZ TX TY RZ RX RY", "order")
    (tmp_path / "still.asf").write_text(text)
    path.write_text("1\nroot\n2\nroot\n3\nroot\n")
    clip = mocap.load(path)
    assert clip.num_frames == 3 and torch.equal(clip.root_pos_w[0], clip.root_pos_w[2])


def test_rotation_matrices_of_the_skeleton(tmp_path: Path) -> None:
    odd.write(tmp_path)
    skeleton = asf.read(tmp_path / "odd.asf")
    spine = skeleton.bones[1]
    want = row_matrix("yzx", {"x": 10, "y": -20, "z": 30}).T
    np.testing.assert_allclose(spine.axes, want, atol=1e-12)
    assert spine.dofs == ("rz", "rx", "ry") and skeleton.bones[0].dofs[:3] == ("tz", "tx", "ty")
