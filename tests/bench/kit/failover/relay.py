"""TCP relays that can be cut: what a node's traffic to its peers and to the keeper of decisions goes through,
while its clients reach it directly. One thread for all of them; loopback only.

    pass       bytes go through
    cut        what is connected is reset, what connects is reset at once
    blackhole  connections are accepted and stay, and nothing moves"""
import asyncio
import concurrent.futures
import socket
import struct
import threading

CHUNK = 1 << 16
MODES = ("pass", "cut", "blackhole")


def _reset(writer):
    """Closes with a reset, as a link that is torn would be seen."""
    sock = writer.get_extra_info("socket")
    if sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
    writer.transport.abort()


class Relay:
    """Listens on a port of its own (`port`) and forwards to a port of 127.0.0.1."""

    def __init__(self, relays, upstream):
        self.relays = relays
        self.upstream = upstream
        self.mode = "pass"
        self.writers = set()
        self.moving = asyncio.Event()
        self.moving.set()
        self.server = None
        self.port = 0

    async def listen(self, address, port):
        self.server = await asyncio.start_server(self._accepted, address, port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def _accepted(self, reader, writer):
        try:
            if self.mode == "cut":
                _reset(writer)
                return
            self.writers.add(writer)
            await self.moving.wait()
            if self.mode == "cut":
                return
            there_reader, there = await asyncio.open_connection("127.0.0.1", self.upstream)
            self.writers.add(there)
            try:
                await asyncio.gather(self._pump(reader, there), self._pump(there_reader, writer))
            finally:
                self.writers.discard(there)
                _reset(there)
        except OSError:
            pass
        finally:
            self.writers.discard(writer)
            _reset(writer)

    async def _pump(self, reader, writer):
        while True:
            data = await reader.read(CHUNK)
            await self.moving.wait()
            if not data:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            writer.write(data)
            await writer.drain()

    async def set_mode(self, mode):
        self.mode = mode
        if mode == "blackhole":
            self.moving.clear()
        else:
            self.moving.set()
        if mode == "cut":
            for writer in list(self.writers):
                _reset(writer)

    async def close(self):
        self.server.close()
        await self.set_mode("cut")


class Relays:
    """The thread that carries them. Its methods may be called from any thread."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda loop, context: None)  # resets are what it is for
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def add(self, upstream, address="127.0.0.1", port=0):
        relay = Relay(self, upstream)
        self._do(relay.listen(address, port))
        return relay

    def set_mode(self, relays, mode):
        if mode not in MODES:
            raise ValueError(mode)

        async def all_of_them():
            for relay in relays:
                await relay.set_mode(mode)
        self._do(all_of_them())

    def close(self, relays):
        async def all_of_them():
            for relay in relays:
                await relay.close()
        try:
            self._do(all_of_them())
        except concurrent.futures.TimeoutError:
            pass

    def end(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
