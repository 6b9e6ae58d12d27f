"""A browser without a browser: speaks viser's protocol over its websocket, drawing nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import zstandard

from tools.bench_teleop import IdleClient


class Client(IdleClient):
    """One page, as far as the server can tell."""

    def __init__(self, address: str) -> None:
        """Connect and look at the scene, which is when viser counts a client as there."""
        self.gui: dict[str, dict[str, Any]] = {}
        self.commands: dict[str, str] = {}
        self.said: list[str] = []
        self.shared: list[str] = []
        self.handles: dict[str, str] = {}
        self.answers = True
        super().__init__(address)

    def press(self, key: str) -> None:
        """Press the key of a command."""
        self.send(type="CommandTriggerMessage", uuid=self.commands[key])

    def find(self, label: str) -> str:
        """Return the id of a control by its label."""
        return next(uuid for uuid, props in self.gui.items() if props.get("label") == label)

    def sees(self, label: str) -> bool:
        """Return whether there is a control with a label, or a text that has it."""
        texts = (f"{props.get('label')} {props.get('content')}" for props in tuple(self.gui.values()))
        return any(label in text for text in texts)

    def change(self, label: str, value: Any) -> None:
        """Change a control."""
        self.send(type="GuiUpdateMessage", uuid=self.find(label), updates={"value": value})

    def drag(self, name: str, position: tuple[float, ...]) -> None:
        """Drag a handle to a place [m]."""
        own = {"name": name, "wxyz": (1.0, 0.0, 0.0, 0.0), "position": position, "owner": self.handles[name]}
        self.send(type="TransformControlsUpdateMessage", **own)

    def take(self, packet: bytes) -> None:
        """Heed the messages of a packet."""
        size = int.from_bytes(packet[8:16], "little")
        content = zstandard.ZstdDecompressor().decompress(packet[16 : 16 + size])
        for message in msgspec.msgpack.decode(content)["messages"]:
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        kind, uuid, props = message["type"], message.get("uuid", ""), message.get("props")
        if kind == "RegisterCommandMessage":
            self.commands[message["props"]["hotkey"]] = uuid
        elif kind == "RemoveCommandMessage":
            self.commands = {key: known for key, known in self.commands.items() if known != uuid}
        elif kind == "GuiUpdateMessage" and uuid in self.gui:
            self.gui[uuid].update(message["updates"])
        elif kind == "GuiRemoveMessage":
            self.gui.pop(uuid, None)
        elif kind.startswith("Gui") and isinstance(props, dict):
            self.gui[uuid] = {**props, "value": message.get("value")}
        elif kind == "NotificationShowMessage":
            self.said.append(message["props"]["body"])
        elif kind.startswith("ShareUrl"):
            self.shared.append(kind)
        elif kind == "TransformControlsMessage":
            self.handles[message["name"]] = message.get("owner", "")
        elif kind == "LocalStorageGetItemRequestMessage" and self.answers:
            answer = {"value": None, "error": None, "request_uuid": message["request_uuid"]}
            self.send(type="LocalStorageGetItemResponseMessage", **answer)
