"""A network between a store and PostgreSQL that fails in the moment of a commit."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
"""The message that asks the server to commit."""


class Link:
    """One connection through the proxy."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server

    def cut_client(self) -> None:
        """The client sees its connection break; the server does not."""
        self.client.transport.abort()

    def cut(self) -> None:
        """Both sides see the connection break."""
        self.client.transport.abort()
        self.server.transport.abort()


class CommitProxy:
    """Passes everything on, but hands each COMMIT to ``on_commit`` instead, if that is set."""

    def __init__(self, port: int) -> None:
        self.on_commit: Callable[[Link], Awaitable[None]] | None = None
        self.commit_answered = asyncio.Event()
        self.asked_again = asyncio.Event()
        self.dark = False
        self._server_port = port
        self._links: list[Link] = []
        self._keep_answers = False

    async def commit_before_the_cut(self, link: Link) -> None:
        """The server commits, and the client never hears of it."""
        self._keep_answers = True
        self.commit_answered.clear()
        link.server.write(COMMIT)
        await self.commit_answered.wait()
        self._keep_answers = False
        link.cut()

    async def cut_before_the_commit(self, link: Link) -> None:
        """The server never hears of the commit."""
        link.cut()

    async def commit_after_the_client_came_back(self, link: Link) -> None:
        """The server hears of the commit only when the client asks, through a new connection, what became of it."""
        self.asked_again.clear()
        link.cut_client()
        await self.asked_again.wait()
        link.server.write(COMMIT)

    async def commit_and_go_dark(self, link: Link) -> None:
        """The server commits; nobody hears anything any more, and new connections are not answered."""
        self.dark = True
        link.server.write(COMMIT)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        """Listen on the port that is given."""
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for link in self._links:
                link.cut()

    async def _connect(self, client_reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        server_reader, server = await asyncio.open_connection("127.0.0.1", self._server_port)
        link = Link(client, server)
        self._links.append(link)
        with suppress(ConnectionError, asyncio.CancelledError):
            await asyncio.gather(self._forward(client_reader, link), self._answer(server_reader, link))

    async def _forward(self, reader: asyncio.StreamReader, link: Link) -> None:
        while data := await reader.read(65_536):
            if data == COMMIT and self.on_commit is not None:
                on_commit, self.on_commit = self.on_commit, None
                await on_commit(link)
                return
            if b"FOR UPDATE" in data:
                self.asked_again.set()
            if not self.dark:
                link.server.write(data)
        link.server.close()

    async def _answer(self, reader: asyncio.StreamReader, link: Link) -> None:
        while data := await reader.read(65_536):
            if self._keep_answers:
                self.commit_answered.set()
            elif not self.dark:
                link.client.write(data)
        link.client.close()
