"""Browser page that plays motions: the captured skeleton beside the retargeted body.

Served on the loopback interface only. Meshes are sent once, frames send poses. While paused
nothing is sent and the loop sleeps until a control changes.
"""

from __future__ import annotations

import contextlib
import html
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.geoms import box, joined, meshes, sphere, stick
from humanoid.core.errors import InputError, require
from humanoid.view.player import BODY, IN_CONTACT, Player, Recording

if TYPE_CHECKING:
    import viser

HOST = "127.0.0.1"
"""Loopback only: motion data may be private, and the page has no password."""
EXTRA = "teleop"
"""Extra of this package that installs viser."""
REFRESH = 30.0
"""[Hz] upper bound on the frames sent."""
GAP = 1.2
"""[m] between the captured skeleton and the body."""
CAPTURED = (58, 95, 168)
OBJECT, TOUCHED = (120, 126, 138), (209, 76, 66)
"""Colours, RGB."""
JOINT_RADIUS, BONE_RADIUS = 0.022, 0.01
"""[m] of the joints and bones of the captured skeleton."""
_SPEEDS: tuple[str, ...] = ("0.1", "0.25", "0.5", "1", "2", "4")


class Browser:
    """Server of the page."""

    def __init__(self, body: Embodiment, recordings: Sequence[Recording], port: int = 8080) -> None:
        """Start the server and play the first recording.

        Args:
            body: the embodiment.
            recordings: its motions.
            port: of the page, or the next free one; 0 lets the system choose.

        Raises:
            InputError: no recordings, or an invalid port.
            MissingExtraError: viser is not installed.
        """
        self.player = Player(recordings)
        if not 0 <= port <= 65535:
            raise InputError(f"port {port} is outside 0-65535")
        module = require("viser", EXTRA)
        with contextlib.redirect_stdout(sys.stderr):  # viser's banner; the caller prints the address
            self.server: viser.ViserServer = module.ViserServer(HOST, port, verbose=False)
        self.lock = threading.RLock()
        self._touched, self._closed = threading.Event(), False
        self.scene = Scene(self.server, body)
        self.panel = Panel(self)
        self.show_recording()

    @property
    def address(self) -> str:
        """URL of the page."""
        return f"http://{HOST}:{self.server.get_port()}"

    def show_recording(self) -> None:
        """Build scene and panel of the player's recording."""
        with self.lock:
            self.scene.build(self.player.recording)
            self.panel.build(self.player.recording)
            self.show()

    def show(self) -> None:
        """Send the current frame."""
        with self.lock, self.server.atomic():
            follow, beside = self.panel.follow.value, self.panel.beside.value
            self.scene.show(self.player.recording, self.player.frame, follow, beside)
            self.panel.show(self.player)

    def touch(self) -> None:
        """Wake the loop after a control changed."""
        self._touched.set()

    def run(self) -> None:
        """Play until :meth:`close`; call it once, from any thread."""
        last = time.monotonic()
        while not self._closed:
            paused = not self.player.playing
            self._touched.wait(None if paused else 1.0 / REFRESH)
            self._touched.clear()
            with self.lock:
                now = time.monotonic()
                # time spent paused does not count
                moved = self.player.advance(0.0 if paused else now - last)
                last = now
                if not self._closed and (moved or not self.player.playing):
                    self.show()

    def close(self) -> None:
        """Stop serving."""
        self._closed = True
        self._touched.set()
        self.server.stop()


class Scene:
    """3-d scene: floor, body, captured skeleton and objects, in a frame that can follow the body."""

    def __init__(self, server: viser.ViserServer, body: Embodiment) -> None:
        """Add the meshes of the body."""
        self._api, self._names = server.scene, body.body_names
        server.initial_camera.position, server.initial_camera.look_at = (2.3, -2.3, 1.5), (0.0, 0.4, 0.75)
        self._api.configure_environment_map("warehouse", environment_intensity=0.4)
        self._world = self._api.add_frame("/world", show_axes=False)
        self.bodies = {
            name: self._api.add_mesh_simple(f"/world/body/{name}", *shape, color=BODY, side="double")
            for name, shape in meshes(body).items()
        }
        self._parts: list[Any] = []

    def build(self, recording: Recording) -> None:
        """Replace floor, captured skeleton and objects by those of a recording."""
        for part in self._parts:
            part.remove()
        low, high = recording.pos[:, 0, :2].min(0), recording.pos[:, 0, :2].max(0)
        center, extent = (low + high) / 2, float((high - low).max())
        floor = self._api.add_grid(
            "/world/floor", 2 * extent + 20, 2 * extent + 20, position=(*np.round(center), 0.0),
            cell_size=0.5, section_size=1.0, cell_color=(226, 229, 234), section_color=(196, 201, 210),
            plane_color=(247, 248, 250), plane_opacity=1.0, shadow_opacity=0.25, fade_distance=40.0,
        )  # fmt: skip
        self._source = self._api.add_frame("/world/source", show_axes=False)
        self._parts = [floor, self._source]
        self.objects = []
        for index, item in enumerate(recording.objects):
            ball = len(set(item.size)) == 1
            points, faces = sphere(item.size[0]) if ball else box(np.array(item.size))
            name = f"/world/source/object{index}"
            self.objects.append(self._api.add_mesh_simple(name, points, faces, color=OBJECT))
        self.joints = []
        if recording.source is None:
            return
        for joint in range(len(recording.source.parents)):
            sticks = [stick(end, BONE_RADIUS) for end in recording.source.bones(joint)]
            name = f"/world/source/joint{joint}"
            shape = joined([sphere(JOINT_RADIUS), *sticks])
            self.joints.append(self._api.add_mesh_simple(name, *shape, color=CAPTURED))

    def show(self, recording: Recording, frame: int, follow: bool, beside: bool) -> None:
        """Move all meshes to a frame."""
        colors = recording.colors(frame)
        for index, name in enumerate(self._names):
            if name in self.bodies:
                handle = self.bodies[name]
                handle.position, handle.wxyz = recording.pos[frame, index], recording.quat[frame, index]
                if handle.color != colors[index]:
                    handle.color = colors[index]
        root = recording.pos[frame, 0]
        self._world.position = (-root[0], -root[1], 0.0) if follow else (0.0, 0.0, 0.0)
        self._source.position = recording.source_offset(GAP if beside else 0.0)
        if recording.source is not None:
            # rigid poses only: a slow browser draws changing line geometry some frames late
            for handle, pos, quat in zip(
                self.joints, recording.source.pos[frame], recording.source.quat[frame], strict=True
            ):
                handle.position, handle.wxyz = pos, quat
        for handle, item in zip(self.objects, recording.objects, strict=True):
            handle.position, handle.wxyz = item.pos_w[frame].tolist(), item.quat_w[frame].tolist()
            color = TOUCHED if item.touched[frame] else OBJECT
            if handle.color != color:
                handle.color = color


class Panel:
    """Controls of the page, bound to the player."""

    def __init__(self, page: Browser) -> None:
        """Add the controls."""
        self._page, gui = page, page.server.gui
        gui.configure_theme(show_logo=False, show_share_button=False, control_width="medium")
        gui.set_panel_label("humanoid motions")
        player = page.player
        names = [recording.name for recording in player.recordings]
        self.clip = gui.add_dropdown("clip", names, initial_value=names[0], visible=len(names) > 1)
        self.frame = gui.add_slider("frame", 0, max(player.recording.frames - 1, 1), 1, 0)
        self.time = gui.add_markdown("")
        self.play = gui.add_button("pause")
        self._step = gui.add_button_group("step", ("-10", "-1", "+1", "+10"))
        self.speed = gui.add_dropdown("speed", _SPEEDS, initial_value="1")
        self.loop = gui.add_checkbox("loop", True)
        self.follow = gui.add_checkbox("follow the body", True)
        self.beside = gui.add_checkbox("source beside the body", True)
        self.notes = gui.add_html("")
        self.clip.on_update(self._changed(lambda: self._choose(self.clip.value)))
        self.frame.on_update(self._changed(lambda: self._seek(int(self.frame.value))))
        self.play.on_click(self._changed(player.toggle))
        self._step.on_click(self._changed(lambda: player.step(int(self._step.value))))
        self.speed.on_update(self._changed(lambda: setattr(player, "speed", float(self.speed.value))))
        self.loop.on_update(self._changed(lambda: setattr(player, "loop", self.loop.value)))
        self.follow.on_update(self._changed(page.show))
        self.beside.on_update(self._changed(page.show))

    def build(self, recording: Recording) -> None:
        """Fit the timeline to a recording and show its metrics."""
        self.frame.max = max(recording.frames - 1, 1)
        self.beside.visible = recording.source is not None
        rows = "".join(
            f'<tr><td>{html.escape(label)}</td><td style="text-align:right;padding-left:1em;'
            f'color:{"inherit" if good else "#b3261e"}">{html.escape(value)}{"" if good else " ✗"}</td></tr>'
            for label, value, good in recording.notes
        )
        swatch = "".join(
            f'<span style="color:rgb{color}">●</span> {text} &nbsp; '
            for color, text in ((BODY, "body"), (IN_CONTACT, "in contact"), (CAPTURED, "captured"))
            if recording.source is not None or text != "captured"
        )
        style = "font-size:0.8em;padding:0.2em 1em 0.8em 1em"
        self.notes.content = f'<div style="{style}">{swatch}<table style="width:100%">{rows}</table></div>'

    def show(self, player: Player) -> None:
        """Show frame, time and contacts."""
        self.frame.value = player.frame
        contacts = ", ".join(sorted(player.recording.contacts(player.frame))) or "none"
        self.time.content = f"{player.seconds:.2f} s · contact: {contacts}"
        self.play.label = "pause" if player.playing else "play"

    def _changed(self, action: Any) -> Any:  # noqa: ANN401 - viser's callbacks
        def callback(event: Any) -> None:  # noqa: ANN401
            if event.client_id is None:
                return  # an assignment from code, not from the user
            with self._page.lock:
                action()
            self._page.touch()

        return callback

    def _seek(self, frame: int) -> None:
        self._page.player.playing = False  # else playback moves the slider while it is dragged
        self._page.player.seek(frame)

    def _choose(self, name: str) -> None:
        self._page.player.choose(name)
        self._page.show_recording()
