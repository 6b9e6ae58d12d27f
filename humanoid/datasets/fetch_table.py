"""The public sources that ``humanoid motions fetch`` knows: a table.

Nothing of it is part of this package; each source keeps its licence, which is printed and
written beside the files. A checksum that stands here was taken from the very file; where
there is none, that of the first download is kept and checked from then on.
"""

from __future__ import annotations

from dataclasses import dataclass

from humanoid.core.errors import InputError, nearest


@dataclass(frozen=True, kw_only=True)
class Remote:
    """One file of a source."""

    path: str
    """Where it lies below the source's folder."""
    url: str
    """Its address."""
    sha256: str = ""
    """Its checksum; empty where it is not known."""


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A zip archive (a wheel is one) of which some files are wanted."""

    filename: str
    """Its name."""
    prefix: str
    """The folder inside it that is unpacked."""
    endings: tuple[str, ...]
    """Endings of the files that are kept; code is never among them."""
    url: str = ""
    """Its address; that of a wheel comes from the package index."""
    project: str = ""
    """Project on the package index that this wheel belongs to."""
    sha256: str = ""
    """Its checksum; empty where it is not known."""
    licence_file: str = ""
    """The text of its licence inside it, which is written beside the files as well."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A public source of motions or of a robot."""

    what: str
    """Content, in a line."""
    home: str
    """Its page."""
    licence: str
    """Its terms."""
    folder: str
    """Where its files go, below the user's cache."""
    files: tuple[Remote, ...] = ()
    """Its files, or"""
    archive: Archive | None = None
    """the archive they come in."""
    largest: int = 64 << 20
    """[bytes] Largest file."""


_RAW = "https://raw.githubusercontent.com"

_CMU = """
c9f5ff45b4437b279f58b95dacf017afd3135373096274df69436a9354d796cf  02/02.asf
1503c481f4726e640c77888f0c841dd3be0694684bcd32296cf53685c6fc1492  02/02_01.amc
07df256876f0941ea464083162503790a05ffa021fd6d6d5b2c22ac98127762a  02/02_03.amc
77a6885616eb91a76304149a42575cb8479ef9dd118b329e4d1de6046766491f  02/02_04.amc
b370aae1972be9bf73d49a6c94ca74dda01a5cb5ab2f4cce7f61d4d08ca9a611  02/02_05.amc
410294c104bf6c4cbcc7f5757e8a24d012beca0090ab96779b7b1611d5a3fdc1  02/02_06.amc
f056eb4d3014192d4652fdf2bd089a2b7df949f84d6704f0efaad661b63d0f08  02/02_10.amc
"""
"""Checksum and path below the server's ``subjects`` folder."""

_DEEPMIMIC = """
c79919274430cb7de08972f439bad1ccac21bdca19c2c319c705948f025bddf1  humanoid3d_dance_spin.txt
8664855dc19871fe859b543cd27d113e6f85769cb3fe7819efb47a0341bc6fd9  humanoid3d_jog.txt
18ec3f7402e966fd4503a21c4f1b788daf8c96eab0cee8036b7a64ef6f40d9eb  humanoid3d_sideflip.txt
7db28ee85721eea0ae44c3e726fb48bb5532d38f5d9aff8e18d791227476f5bb  humanoid3d_stealthy_walk.txt
6935eaa0a83a0ca13fbf4aaba58efa391f582a83436875fe08212b2029bcfbac  humanoid3d_zombie_walk.txt
1cf7f7f2609e0fce801658598b5b04699a440aba079909dc21a30ec9d53e1a61  long/humanoid3d_long_walk1.txt
"""
"""Checksum and path below ``data/motions``."""

_SKILLMIMIC = """
76e39543b2132875d2dce4d0c5fbdf75f487e0acb76c4f680d744f3fab1e48b5  pick_40/001_007pickle_pick_000.pt
8ea9339dfd009b132442f7e79994c07709934f4971256425ae19d7d950b6c8e9  pick_40/001_008pickle_pick_001.pt
0c9852306e5d359aec5c2af7da4c00aac96f06d2be870959203edafd80572b82  pick_40/001_008pickle_pick_007.pt
d936232fb75ee4dd7d34b31ae801287bdb7bc414d6856dc8c03d07855835148c  pick_40/001_009pickle_pick_001.pt
1749773045298232e879bcd83868d6ca76e466132827415db3ab8ef27ca87ac1  catch/003_008pickle_catch_012.pt
257fb7cf20b8f397333f4cb967adb93e474a46717a127d554573f3f62828bbbe  pass/004_016pickle_pass_001.pt
1b291b8764459390eeb4d4643374e1f2d50577b39ab335b68e2314120f25ae87  turnlayup/034_015pickle_layup_013_008.pt
"""
"""Checksum and path below ``skillmimic/data/motions/BallPlay-M``."""

_SKILLMIMIC_V2 = """
1177ad60e7b6e9279418049001d54be9d8001bb99d6c1fd53058ec26ed135384  Locomotion/getup/000_021pickle_getup_1.pt
c6006f2239c36d5b903ca15fa0f4e35cd2a8386dec9de1ff5dbc962b00e83be0  Locomotion/getup/000_021pickle_getup_10.pt
5ab9bf0f1ab388f93c916bb7ac9c96f1831cd747a7a5bc08c62155529454459d  Locomotion/getup/000_021pickle_getup_12.pt
5fc78ed06c4a41b6d51b52f8a0e23563f553cbefe433d979b19aca77ef6f43ae  Locomotion/getup/000_021pickle_getup_13.pt
b69b5b880bbc704490a7b994d371732c6a23eb41060e5ef54975b7f6f33659bd  Locomotion/getup/000_021pickle_getup_14.pt
565691a6a6ad0b40b4cec1d343b9137cc52ba62d552d7480dce3c3a44bf16109  Locomotion/getup/000_021pickle_getup_16.pt
96adbeac3a2295d5b92351021301ae470face8af6d69530d26a884a14cb2d15b  BallPlay/shot/009_006pickle_dribble2shot.pt
130fe032992af30ab309bccb6e8c10236ff08476382fe4ff0e6e05d17a8c1f47  BallPlay/lrun/011_018pickle_lrun_2.pt
ee333b2929cc299221fa854fb3158840db3e128e8671db81818f33472015cb1c  BallPlay/rrun/012_018pickle_pick2rrun_3.pt
16c386ffe9956ac00a582c66c22281e7260f781136ade2331deb3179cdb562ea  BallPlay/run/013_018pickle_run2_5.pt
8b18d1ca9d507320d57a67d0136cb7b987c968acb791b3c22952dbca747b67a3  BallPlay/run/013_018pickle_run_4.pt
e780146360767d76556e47b84fa73f4a4eae1d07d657b9afe0a23fdd2a816e89  BallPlay/layup/031_015pickle_layup_001_006.pt
"""  # noqa: E501
"""Checksum and path below ``skillmimic/data/motions``."""

_AMP = """
22352d14cb63611b834d4e179c14387665f07d90f23aaecc5ae2c755a1416445  amp_humanoid_backflip.npy
a1811ebda7c780b81f1e982b0a61622aeebac8427c0f3c32f29fa04c859b8a2f  amp_humanoid_cartwheel.npy
934bad013439019a7a20dea8d6644b3360d9e5619204afc3ee0f89b7699eb570  amp_humanoid_run.npy
da0de7141b71321cd1a0904e6d599f889ca6f51bc9a22919d4198b54322d1c5c  amp_humanoid_walk.npy
"""
"""Checksum and path below ``assets/amp/motions``."""
_BULLET = """
-  humanoid3d_backflip.txt
-  humanoid3d_cartwheel.txt
-  humanoid3d_crawl.txt
-  humanoid3d_dance_a.txt
-  humanoid3d_dance_b.txt
-  humanoid3d_getup_facedown.txt
-  humanoid3d_getup_faceup.txt
-  humanoid3d_jump.txt
-  humanoid3d_kick.txt
-  humanoid3d_punch.txt
-  humanoid3d_roll.txt
-  humanoid3d_run.txt
-  humanoid3d_spin.txt
-  humanoid3d_spinkick.txt
-  humanoid3d_walk.txt
-  walker/0walk_forward.txt
-  walker/turn_left0.txt
-  walker/turn_left1.txt
-  walker/turn_right0.txt
-  walker/turn_right1.txt
"""
"""Path below bullet3's ``pybullet_data/data/motions``; the version of HEAD is not fixed."""

_CMU_TERMS = (
    "CMU Graphics Lab Motion Capture Database: free to use, copy, modify and redistribute, also in products, "
    "but not to be resold as it is; they ask for: 'The data used in this project was obtained from "
    "mocap.cs.cmu.edu. The database was created with funding from NSF EIA-0196217.'"
)


def _files(base: str, rows: str, flat: bool = True) -> tuple[Remote, ...]:
    """Return files of ``base`` from lines of checksum (``-``: not known) and path.

    Args:
        base: address that the paths are below.
        rows: the lines.
        flat: whether all go into one folder here.
    """
    pairs = [line.split() for line in rows.split("\n") if line]
    return tuple(
        Remote(
            path=path.rpartition("/")[2] if flat else path,
            url=f"{base}/{path}",
            sha256="" if checksum == "-" else checksum,
        )
        for checksum, path in pairs
    )


SOURCES: dict[str, Source] = {
    "cmu": Source(
        what="CMU subject 02, skeleton and six takes (walk, run, jump, punch, bend, wash), ASF/AMC",
        home="http://mocap.cs.cmu.edu",
        licence=_CMU_TERMS,
        folder="motions/cmu02",
        files=_files("http://mocap.cs.cmu.edu/subjects", _CMU),
    ),
    "cmu_all": Source(
        what="all of CMU's database, 2,500 takes of 112 skeletons, ASF/AMC (1 GB)",
        home="http://mocap.cs.cmu.edu",
        licence=_CMU_TERMS,
        folder="motions/cmu",
        archive=Archive(
            filename="allasfamc.zip",
            prefix="all_asfamc/subjects",
            endings=(".asf", ".amc"),
            url="http://mocap.cs.cmu.edu/allasfamc.zip",
        ),
        largest=4 << 30,
    ),
    "humanoid3d": Source(
        what="the 20 clips of the manifest humanoid3d, as the package pybullet ships them",
        home="https://github.com/bulletphysics/bullet3",
        licence="zlib (bullet3); MIT (DeepMimic, Peng et al. 2018, where most of them come from)",
        folder="motions/humanoid3d",
        files=_files(
            f"{_RAW}/bulletphysics/bullet3/HEAD/examples/pybullet/gym/pybullet_data/data/motions",
            _BULLET,
            flat=False,
        ),
    ),
    "humanoid3d_long": Source(
        what="six more DeepMimic clips: jog, stealthy and zombie walk, side flip, dance, a long walk",
        home="https://github.com/xbpeng/DeepMimic",
        licence="MIT (DeepMimic, Peng et al. 2018); the captured person is not named",
        folder="motions/humanoid3d_long",
        files=_files(
            f"{_RAW}/xbpeng/DeepMimic/60ebe88b27634ab697d5d3b4d80f2bfd7cd9b23a/data/motions", _DEEPMIMIC
        ),
    ),
    "ballplay": Source(
        what="SkillMimic's basketball: human and ball, 60 Hz, the clips of the manifest ballplay",
        home="https://github.com/wyhuai/SkillMimic and https://github.com/Ingrid789/SkillMimic-V2",
        licence="Apache-2.0 (SkillMimic, Wang et al. 2025; SkillMimic-V2, Yu et al. 2025)",
        folder="motions/ballplay",
        files=(
            *_files(f"{_RAW}/wyhuai/SkillMimic/HEAD/skillmimic/data/motions/BallPlay-M", _SKILLMIMIC),
            *_files(f"{_RAW}/Ingrid789/SkillMimic-V2/HEAD/skillmimic/data/motions", _SKILLMIMIC_V2),
        ),
    ),
    "amp": Source(
        what="four AMP clips of IsaacGymEnvs (walk, run, backflip, cartwheel), poselib",
        home="https://github.com/isaac-sim/IsaacGymEnvs",
        licence=f"BSD-3-Clause (IsaacGymEnvs); captured by CMU. {_CMU_TERMS}",
        folder="motions/amp",
        files=_files(f"{_RAW}/isaac-sim/IsaacGymEnvs/HEAD/assets/amp/motions", _AMP),
    ),
    "g1": Source(
        what="Unitree G1 (29 joints), MJCF and meshes out of mjlab's wheel, which is not installed",
        home="https://pypi.org/project/mjlab",
        licence="Apache-2.0 (mjlab); robot description by Unitree, BSD-3-Clause",
        folder="robots/unitree_g1",
        archive=Archive(
            filename="mjlab-1.6.0-py3-none-any.whl",
            prefix="mjlab/asset_zoo/robots/unitree_g1",
            endings=(".xml", ".stl", ".obj", ".png", ".txt", ".md"),
            project="mjlab",
            sha256="03d003854e2f44c48330c6dcf4c2253ff7641bb569747846825a21b9efa8540b",
            licence_file="mjlab-1.6.0.dist-info/licenses/LICENSE",
        ),
        largest=256 << 20,
    ),
}
"""Every source by name. A manifest of the same name, where there is one, lists the clips."""


def source(name: str) -> Source:
    """Return a source by name.

    Raises:
        InputError: there is none of that name.
    """
    if name not in SOURCES:
        raise InputError(f"'{name}' is no known source{nearest(name, SOURCES)}")
    return SOURCES[name]
