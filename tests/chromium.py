"""A headless Chromium, driven through the DevTools protocol over its websocket."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu-sandbox", "--remote-debugging-port=0", "--no-first-run",
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--force-device-scale-factor=0.5",  # a quarter of the pixels for the software renderer to draw
)  # fmt: skip


def find() -> str | None:
    """Return the path of a Chromium, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Chromium:
    """One browser process with a profile of its own."""

    def __init__(self, path: str, folder: Path, size: tuple[int, int] = (1160, 640)) -> None:
        """Start it and wait until it listens."""
        flags = (*FLAGS, f"--user-data-dir={folder}", f"--window-size={size[0]},{size[1]}")
        self._process = subprocess.Popen(
            [path, *flags, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        self._port = self._wait_for_port(folder / "DevToolsActivePort")
        self._pages: list[Page] = []

    def open(self, address: str) -> Page:
        """Open an address in a tab of its own."""
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/json/new?{address}", method="PUT")
        with urllib.request.urlopen(request, timeout=10) as answer:
            page = Page(json.load(answer)["webSocketDebuggerUrl"])
        self._pages.append(page)
        return page

    def freeze(self, frozen: bool) -> None:
        """Stop all its processes where they are, or let them go on: a machine that is gone."""
        os.killpg(self._process.pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def close(self) -> None:
        """End all its processes."""
        os.killpg(self._process.pid, signal.SIGCONT)
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _wait_for_port(self, file: Path) -> int:
        for _ in range(300):
            if file.exists() and (text := file.read_text()):
                return int(text.split()[0])
            time.sleep(0.1)
        self.close()
        raise TimeoutError("Chromium did not start")


class Page:
    """One tab."""

    def __init__(self, address: str) -> None:
        """Connect to it."""
        self._socket = connect(address, max_size=None, open_timeout=10)
        self._numbers = itertools.count(1)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            answer = json.loads(self._socket.recv(timeout=30))
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def evaluate(self, expression: str) -> Any:
        """Return what an expression of JavaScript gives."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    @property
    def text(self) -> str:
        """All text that is seen."""
        return self.evaluate("document.body ? document.body.innerText : ''") or ""

    def press(self, key: str) -> None:
        """Press and release a key: a letter or ``space``."""
        space = key == "space"
        event = {
            "key": " " if space else key.lower(), "code": "Space" if space else f"Key{key}",
            "windowsVirtualKeyCode": 32 if space else ord(key), "text": " " if space else key.lower(),
        }  # fmt: skip
        self.call("Input.dispatchKeyEvent", type="keyDown", **event)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def click(self, label: str) -> None:
        """Click the button with a text."""
        place = self.evaluate(
            f"(() => {{ const all = [...document.querySelectorAll('button,label')];"
            f" const one = all.find(e => e.innerText.trim() === {json.dumps(label)});"
            " if (!one) return null; one.scrollIntoView({block: 'center'});"
            " const r = one.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        assert place is not None, f"no button '{label}'"
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1
            )

    def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int = 8) -> None:
        """Drag with the left button between two points [pixels]."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=start[0], y=start[1])
        time.sleep(0.3)
        self.call(
            "Input.dispatchMouseEvent",
            type="mousePressed",
            x=start[0],
            y=start[1],
            button="left",
            clickCount=1,
        )
        for step in range(1, steps + 1):
            x, y = (a + (b - a) * step / steps for a, b in zip(start, end, strict=True))
            self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, button="left", buttons=1)
            time.sleep(0.1)
        self.call(
            "Input.dispatchMouseEvent", type="mouseReleased", x=end[0], y=end[1], button="left", clickCount=1
        )

    def picture(self) -> bytes:
        """Return what is seen as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def close(self) -> None:
        """Close the tab."""
        self._socket.send(json.dumps({"id": 0, "method": "Page.close"}))
        self._socket.close()
