"""A relay that knows only bytes: stalls, delays, swallows or cuts the connections of a path.

    byte_relay.py CONTROL_SOCKET PATH…      PATH: name,unix socket of the real server

Each path listens on a port of its own on 127.0.0.1 (command `ports`). `up` is from the one who connected to
the server, `down` the way back.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass, field, fields
from typing import Any

CHUNK_BYTES = 65536
# What may be on its way through a slow path, in chunks of one connection.
IN_FLIGHT_CHUNKS = 64


@dataclass
class Mode:
    """What a path does to bytes. Once bytes were swallowed a connection is useless: cut it afterwards."""

    stall_up: bool = False
    stall_down: bool = False
    swallow: bool = False  # half-open: both ends believe in a connection that carries nothing
    delay_ms: float = 0.0
    bytes_per_second: float = 0.0  # 0: as fast as it goes
    refuse: bool = False


@dataclass
class Path:
    name: str
    server: str
    mode: Mode = field(default_factory=Mode)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def set_mode(self, mode: Mode) -> None:
        self.mode = mode
        # Wakes whoever waits for the end of a stall; each looks at its own side again.
        self.changed.set()
        self.changed = asyncio.Event()

    def cut(self) -> int:
        """Resets every connection; returns how many sockets there were."""
        count = len(self.writers)
        for writer in list(self.writers):
            transport = writer.transport
            transport.abort()
        return count

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            if self.mode.refuse:
                return
            try:
                server_reader, server_writer = await asyncio.open_unix_connection(self.server)
            except OSError:
                return
            self.writers.add(server_writer)
            both = [
                asyncio.ensure_future(self.pump(reader, server_writer, "up")),
                asyncio.ensure_future(self.pump(server_reader, writer, "down")),
            ]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in both:
                    task.cancel()
                await asyncio.gather(*both, return_exceptions=True)
                self.writers.discard(server_writer)
                server_writer.transport.abort()
        finally:
            self.writers.discard(writer)
            writer.transport.abort()

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(IN_FLIGHT_CHUNKS)
        sending = asyncio.ensure_future(self.send(queue, writer, way))
        try:
            while True:
                await self.while_stalled(way)
                data = await reader.read(CHUNK_BYTES)
                await queue.put((time.monotonic() + self.mode.delay_ms / 1000, data))
                if not data:
                    await sending
                    return
                if sending.done():
                    return
        except (ConnectionError, OSError):
            return
        finally:
            sending.cancel()

    async def send(
        self, queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, way: str
    ) -> None:
        try:
            while True:
                due, data = await queue.get()
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await self.while_stalled(way)
                if not data:
                    return
                if self.mode.swallow:
                    continue
                writer.write(data)
                await writer.drain()
                if self.mode.bytes_per_second:
                    await asyncio.sleep(len(data) / self.mode.bytes_per_second)
        except (ConnectionError, OSError):
            return

    async def while_stalled(self, way: str) -> None:
        while self.mode.stall_up if way == "up" else self.mode.stall_down:
            await self.changed.wait()


class Relay:
    def __init__(self, paths: list[str]) -> None:
        self.paths = {name: Path(name, server) for name, server in (text.split(",") for text in paths)}

    async def run(self, control: str) -> None:
        for path in self.paths.values():
            server = await asyncio.start_server(path.serve, "127.0.0.1", 0)
            path.port = server.sockets[0].getsockname()[1]
        listener = await asyncio.start_unix_server(self.hear, control)
        async with listener:
            await listener.serve_forever()

    async def hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            try:
                answer: dict[str, Any] = {"answer": self.obey(json.loads(line))}
            except (KeyError, TypeError, ValueError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    def obey(self, request: dict[str, Any]) -> Any:
        command = request["command"]
        if command == "ports":
            return {path.name: path.port for path in self.paths.values()}
        if command == "clear":
            for path in self.paths.values():
                swallowed = path.mode.swallow
                path.set_mode(Mode())
                if swallowed:
                    path.cut()
            return None
        chosen = [self.paths[name] for name in request["paths"]]
        if command == "mode":
            mode = mode_of(request["mode"])
            for path in chosen:
                path.set_mode(mode)
            return None
        if command == "cut":
            return sum(path.cut() for path in chosen)
        raise ValueError(f"unknown command {command}")


def mode_of(values: dict[str, Any]) -> Mode:
    known = {entry.name for entry in fields(Mode)}
    unknown = set(values) - known
    if unknown:
        raise ValueError(f"a mode has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}")
    return Mode(**values)


def main() -> None:
    control, *paths = sys.argv[1:]
    try:
        asyncio.run(Relay(paths).run(control))
    except KeyboardInterrupt:
        os._exit(130)


if __name__ == "__main__":
    main()
