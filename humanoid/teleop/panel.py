"""The panels of a teleoperation: figures for everybody, controls for the client that steers."""

from __future__ import annotations

import html
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from humanoid.teleop.controls import AXES, KEYS, SLOWEST, STOP
from humanoid.teleop.obstacles import KINDS, Obstacle
from humanoid.teleop.scene import WORLD, Snapshot
from humanoid.teleop.session import Message, TeleopCommand, TeleopSession

if TYPE_CHECKING:
    import viser

SHOWN = 10.0
"""[s] of history that the plots show."""
RATE = 4.0
"""[Hz] at which figures and plots change."""
WIDTH, FIGURES_WIDTH = 340, 250
"""[pixels] of the panels with the controls and with the figures."""
_LINES = {"commanded": "#2e9e6b", "real": "#e79147"}
_NAMES = {
    "I": "faster forward", "K": "slower, backward", "J": "turn left", "L": "turn right",
    "U": "step left", "O": "step right", STOP: "stop",
}  # fmt: skip
_HINTS = {"forward": "<b>I K</b> forward, back", "turn": "<b>J L</b> turn", "left": "<b>U O</b> sideways"}
_PACE = f"below {SLOWEST:g} m/s the body walks at its own pace: it has not learned to stand"


class Figures:
    """Metrics panel of every client: the latest message, numbers and their last seconds."""

    def __init__(self, server: viser.ViserServer) -> None:
        """Build it: the message above the controls, the rest in a panel of its own at the left."""
        gui, count = server.gui, round(SHOWN * RATE)
        self._notice = gui.add_html("", order=0)
        panel = gui.add_panel()
        self._time = np.linspace(-SHOWN, 0.0, count)
        self._speed = [deque([np.nan] * count, count) for _ in _LINES]
        self._turn = [deque([np.nan] * count, count) for _ in _LINES]
        self._plan = deque([np.nan] * count, count)
        with panel.add_tab("figures"):
            self._numbers = gui.add_html("")
            self._plots = [
                self._plot(gui, "forward [m/s]", _LINES, (-1.2, 2.4)),
                self._plot(gui, "turn [rad/s]", _LINES, (-1.8, 1.8)),
                self._plot(gui, "planning time [ms]", {"plan": "#3a5fa8"}, None),
            ]
        panel.dock_left()
        panel.set_width(FIGURES_WIDTH)

    def tell(self, message: Message | None) -> None:
        """Show a message, or None to take away the last one."""
        text = ""
        if message is not None:
            color = "#b3261e" if message.bad else "#2e6b4f"
            text = _block(f'<b style="color:{color}">{html.escape(message.text)}</b>')
        _set(self._notice, "content", text)

    def show(self, snapshot: Snapshot) -> None:
        """Show a snapshot; call it at :data:`RATE`."""
        command, real = snapshot.orders.command, snapshot.velocity
        nothing = snapshot.orders.waypoint is not None
        self._speed[0].append(np.nan if nothing else command.forward)
        self._turn[0].append(np.nan if nothing else command.turn)
        self._speed[1].append(real.forward)
        self._turn[1].append(real.turn)
        self._plan.append(np.nan if snapshot.plan_ms is None else snapshot.plan_ms)
        for plot, series in zip(self._plots, (self._speed, self._turn, [self._plan]), strict=True):
            plot.data = (self._time, *(np.array(values) for values in series))
        self._numbers.content = _numbers(snapshot)

    def _plot(
        self,
        gui: viser.GuiApi,
        title: str,
        lines: dict[str, str],
        bounds: tuple[float, float] | None,
    ) -> viser.GuiUplotHandle:
        empty = np.full_like(self._time, np.nan)
        series = [{"label": name, "stroke": color, "width": 2} for name, color in lines.items()]
        y: Any = {"auto": True} if bounds is None else {"auto": False, "range": bounds}
        return gui.add_uplot(
            (self._time, *(empty for _ in lines)),
            ({"label": "s"}, *series),  # type: ignore[arg-type]
            title=title, height=130, legend={"show": len(lines) > 1, "live": False},
            scales={"x": {"time": False, "auto": False, "range": (-SHOWN, 0.0)}, "y": y},
        )  # fmt: skip


def _numbers(snapshot: Snapshot) -> str:
    orders, real = snapshot.orders, snapshot.velocity
    plan = (
        "no plan yet"
        if snapshot.plan_ms is None
        else f"{snapshot.plan_ms:.0f} ms, {snapshot.plan_misses} late"
    )
    command = orders.command
    asked = [f"{value:+.1f}" for value in (command.forward, command.left, command.turn)]
    if orders.waypoint is not None:
        asked = ["-"] * 3
    speeds = [
        ("", "forward<br>m/s", "left<br>m/s", "turn<br>rad/s"),
        ("asked", *asked),
        ("does", *(f"{value:+.1f}" for value in (real.forward, real.left, real.turn))),
    ]
    rows = [
        ("time", f"{snapshot.seconds:.0f} s{', paused' if orders.paused else ''}"),
        ("planning", plan),
        ("steps missed", str(snapshot.misses)),
    ]
    if orders.waypoint is not None:
        rows.insert(0, ("waypoint", "{:.1f}, {:.1f} m".format(*orders.waypoint)))
    if snapshot.recording:
        rows.append(("video", "● recording"))
    return _block(_rows(speeds) + "<hr style='opacity:0.2'>" + _rows(rows))


def _rows(rows: Sequence[Sequence[str]]) -> str:
    """Return a table of text that is known to be no markup."""
    cells = ("".join(
        f"<td style='{'text-align:right' if column else 'opacity:0.65'}'>{text}</td>"
        for column, text in enumerate(row)
    ) for row in rows)  # fmt: skip
    return "<table style='width:100%'>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"


def _block(content: str) -> str:
    return f'<div style="font-size:0.82em;padding:0.3em 1em">{content}</div>'


class Watching:
    """Panel of a client that does not steer."""

    def __init__(self, client: viser.ClientHandle) -> None:
        """Build it."""
        text = "<b>watching</b>: another page steers; this one takes over when it leaves"
        self._part = client.gui.add_html(_block(text), order=1)

    def close(self) -> None:
        """Remove it."""
        self._part.remove()


class Steering:
    """The controls of the client that steers. What the user does goes to the session at once."""

    def __init__(
        self, client: viser.ClientHandle, session: TeleopSession, follow: Callable[[bool], None]
    ) -> None:
        """Build them in the client's own panel and scene."""
        self._client, self._session, self._id = client, session, client.client_id
        self._parts: list[Any] = []
        self._gizmos: dict[str, Any] = {}
        self._marker: Any = None
        gui, ranges = client.gui, session.controls_cfg
        self._add_keys(client)
        self._sliders = {}
        for order, axis in enumerate(ranges.axes):
            low, high = ranges.range(axis)
            slider = gui.add_slider(f"{axis} [{AXES[axis]}]", low, high, 0.05, 0.0, order=10 + order)
            slider.on_update(self._user(lambda s=slider, a=axis: session.ask(self._id, {a: s.value})))
            self._sliders[axis] = slider
        self._shown = dict.fromkeys(AXES, 0.0)
        stop = gui.add_button("stop (space)", color="red", order=13)
        stop.on_click(self._user(lambda: session.press(self._id, STOP)))
        self._parts += [*self._sliders.values(), stop]
        self._add_choices(gui, follow)
        self._add_things(gui)

    def _add_keys(self, client: viser.ClientHandle) -> None:
        axes = self._session.controls_cfg.axes
        text = " &nbsp; ".join([*(_HINTS[axis] for axis in axes), f"<b>{STOP}</b> stop"])
        hint = _block(f"a tap is a step: &nbsp; {text}<br><i>{_PACE}</i>")
        self._parts.append(client.gui.add_html(hint, order=9))
        for key in (*(key for key, (axis, _) in KEYS.items() if axis in axes), STOP):
            command: Any = client.gui.add_command(_NAMES[key], hotkey=key)  # type: ignore[arg-type]
            command.on_trigger(self._user(lambda k=key: self._session.press(self._id, k)))
            self._parts.append(command)

    def _add_choices(self, gui: viser.GuiApi, follow: Callable[[bool], None]) -> None:
        session, me = self._session, self._id
        style = gui.add_dropdown(
            "style", session.styles, initial_value=session.orders().style, order=20,
            visible=len(session.styles) > 1,
        )  # fmt: skip
        style.on_update(self._user(lambda: session.choose(me, style.value)))
        self._pause = gui.add_button("pause", order=21)
        self._pause.on_click(self._user(lambda: session.pause(me)))
        actions = gui.add_button_group("body", ("push", "reset"), order=22)
        actions.on_click(self._user(lambda: session.request(me, actions.value)))
        self._record = gui.add_button("record a video", order=23)
        self._record.on_click(self._user(lambda: session.request(me, "record")))
        held = gui.add_checkbox("follow the body", True, order=24)
        held.on_update(self._user(lambda: follow(held.value)))
        self._parts += [style, self._pause, actions, self._record, held]

    def _add_things(self, gui: viser.GuiApi) -> None:
        session, me = self._session, self._id
        things = gui.add_button_group("obstacle", (*KINDS, "clear"), order=30)

        def put() -> None:
            kind = things.value
            session.clear_obstacles(me) if kind == "clear" else session.add_obstacle(me, kind)

        things.on_click(self._user(put))
        self._goal = gui.add_checkbox("waypoint", session.orders().waypoint is not None, order=31)
        self._goal.on_update(
            self._user(lambda: session.set_waypoint(me, session.front() if self._goal.value else None))
        )
        self._parts += [things, self._goal]

    def show(self, snapshot: Snapshot) -> None:
        """Let the controls say what is asked, and put handles on what can be dragged."""
        orders = snapshot.orders
        for axis, slider in self._sliders.items():
            value = getattr(orders.command, axis)
            # only what changed elsewhere: the user's own drag must not be pulled back
            if value != self._shown[axis] and abs(value - slider.value) > 1e-6:
                slider.value = value
            self._shown[axis] = value
        _set(self._goal, "value", orders.waypoint is not None)
        _set(self._pause, "label", "go on" if orders.paused else "pause")
        _set(self._record, "label", "end the video" if snapshot.recording else "record a video")
        self._show_handles(orders)

    def close(self) -> None:
        """Remove everything."""
        gone = [*self._parts, *self._gizmos.values(), *([] if self._marker is None else [self._marker])]
        for part in gone:
            part.remove()

    def _show_handles(self, orders: TeleopCommand) -> None:
        wanted = {obstacle.name: obstacle for obstacle in orders.obstacles}
        for name in [name for name in self._gizmos if name not in wanted]:
            self._gizmos.pop(name).remove()
        for name, obstacle in wanted.items():
            if name not in self._gizmos:
                self._gizmos[name] = self._handle_of(obstacle)
        if orders.waypoint is None and self._marker is not None:
            self._marker.remove()
            self._marker = None
        elif orders.waypoint is not None and self._marker is None:
            self._marker = self._handle("waypoint", (*orders.waypoint, 0.0), lifts=False)
            self._marker.on_update(
                self._user(lambda: self._session.set_waypoint(self._id, self._marker.position[:2]))
            )

    def _handle_of(self, obstacle: Obstacle) -> Any:  # noqa: ANN401 - viser's handle
        name = obstacle.name
        gizmo = self._handle(name.replace(" ", "_"), obstacle.pos_w, lifts=obstacle.kind == "sphere")
        gizmo.on_update(self._user(lambda: self._session.move_obstacle(self._id, name, gizmo.position)))
        return gizmo

    def _handle(self, name: str, place: tuple[float, float, float], lifts: bool) -> Any:  # noqa: ANN401 - viser's handle
        return self._client.scene.add_transform_controls(
            f"{WORLD}/handle/{name}", scale=0.9, line_width=3.0, active_axes=(True, True, lifts),
            disable_rotations=True, depth_test=False, opacity=0.8, position=place,
        )  # fmt: skip

    def _user(self, action: Callable[[], Any]) -> Any:  # noqa: ANN401 - viser's callbacks
        async def callback(event: Any) -> None:  # noqa: ANN401
            # not a plain function: viser's thread pool might put a tap before the stop after it
            if getattr(event, "client_id", self._id) is not None:  # None: our own assignment
                action()

        return callback


def _set(handle: Any, name: str, value: Any) -> None:  # noqa: ANN401 - viser's handles
    """Assign only what differs: every assignment is sent."""
    if getattr(handle, name) != value:
        setattr(handle, name, value)
