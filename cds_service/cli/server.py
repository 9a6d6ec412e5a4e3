"""`rls-cds serve`: gunicorn with threads, everything loaded once before the workers are forked."""

import errno
import gc
import os
import selectors
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from socket import SHUT_WR, socket
from wsgiref.types import WSGIApplication

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped] # gunicorn ships no types
from gunicorn.http import errors  # type: ignore[import-untyped] # the same
from gunicorn.util import write_nonblock  # type: ignore[import-untyped] # the same
from gunicorn.workers.gthread import TConn, ThreadWorker  # type: ignore[import-untyped] # the same

from cds_service.cli.connections import LONGEST_BODY, LONGEST_HEAD, LONGEST_SILENCE, BoundedSocket
from cds_service.cli.metrics import Hooks
from cds_service.protocol.outcome import Issue, operation_outcome
from cds_service.settings import Settings
from cds_service.web.http import CORS, JSON, STANDING
from cds_service.web.logs import log_event

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the one writable place of a read-only container
_STATUS: dict[type[Exception], tuple[int, str]] = {
    errors.LimitRequestLine: (414, "URI Too Long"),
    errors.LimitRequestHeaders: (431, "Request Header Fields Too Large"),
    errors.UnsupportedTransferCoding: (501, "Not Implemented"),
}


_NOBODY_CAME = frozenset({errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK})
_MOST_DRAINED = 64 * 1024


class JsonErrorWorker(ThreadWorker):  # type: ignore[misc] # its base is untyped
    """Answers requests that never reach the application as JSON too, and logs nothing of what they sent.

    No connection holds a thread or the loop for longer than its bounds (`connections`): one that says
    nothing waits in the loop, without a thread; one that was answered is closed there, too.
    """

    def accept(self, listener: socket) -> None:
        """Take one new connection; it gets a thread when its first byte is there."""
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno not in _NOBODY_CAME:
                raise
            return
        self.nr_conns += 1
        connection = TConn(self.cfg, BoundedSocket.of(client), address, listener.getsockname())
        if connection.sock.has_data():
            connection.data_ready = True
            self.enqueue_req(connection)
        else:
            self._watch(connection, self.on_pending_socket_readable)

    def handle(self, conn: TConn) -> object:
        """Read and answer one request, its head within the time for that."""
        conn.sock.expect(LONGEST_HEAD)
        return super().handle(conn)

    def handle_request(self, req: object, conn: TConn) -> object:
        """Answer a request whose head was read; its body gets a time of its own."""
        conn.sock.expect(LONGEST_BODY)
        return super().handle_request(req, conn)

    def finish_request(self, conn: TConn, fs: Future[object]) -> None:
        """Keep the connection for another request, or part; gunicorn's loop would wait for the other side."""
        if fs.cancelled() or (fs.exception() is None and not fs.result()):
            self._part(conn)
        else:
            super().finish_request(conn, fs)

    def _part(self, conn: TConn) -> None:
        """Say that nothing more will come, and close when the other side has: it gets all of its answer."""
        try:
            conn.sock.shutdown(SHUT_WR)
            conn.sock.settimeout(0)
        except OSError:
            self.nr_conns -= 1
            conn.close()
        else:
            conn.drained = 0
            self._watch(conn, self._drain)

    def _drain(self, conn: TConn, client: socket) -> None:
        """Read what a connection still sends that was answered, up to its end."""
        try:
            got = len(client.recv(4096))
        except BlockingIOError:
            return
        except OSError:
            got = 0
        conn.drained += got
        if not got or conn.drained > _MOST_DRAINED:
            self.poller.unregister(client)
            self.pending_conns.remove(conn)
            self.nr_conns -= 1
            conn.close()

    def _watch(self, conn: TConn, ready: Callable[[TConn, socket], None]) -> None:
        """Let the loop watch a connection for a while; then gunicorn's `murder_pending` closes it."""
        conn.timeout = time.monotonic() + LONGEST_SILENCE
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(ready, conn))

    def handle_error(self, req: object, client: socket, addr: object, exc: Exception) -> None:  # noqa: ARG002 - gunicorn's signature
        """Write the answer to a request that could not be parsed."""
        log_event("request not understood", exception=type(exc).__qualname__)
        try:
            write_nonblock(client, error_answer(exc, self.app.settings))
        except OSError:
            self.log.debug("The client was gone before its error was written.")

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 - gunicorn's signature
        """Take or leave new connections; at the stop, take those that wait and close the door.

        gunicorn leaves the door open while the last calls end: who comes then is kept waiting and cut off.
        """
        super().set_accept_enabled(enabled)
        if self.alive:
            return
        for listener in self.sockets:
            taken = -1
            while taken != self.nr_conns:
                taken = self.nr_conns
                self.accept(listener)
            listener.close()


def error_answer(error: Exception, settings: Settings) -> bytes:
    """Return a whole HTTP answer for a request that the server itself could not parse.

    In production no page may read it: whose page it is, nobody knows.
    """
    status, reason = (
        (400, "Bad Request") if isinstance(error, errors.ParseException) else (500, "Internal Server Error")
    )
    status, reason = _STATUS.get(type(error), (status, reason))
    body = operation_outcome([Issue("structure", "The HTTP request cannot be read.")])
    headers = {"Connection": "close", "Content-Type": JSON, "Content-Length": str(len(body)), **STANDING}
    if settings.environment == "production":
        headers = {name: value for name, value in headers.items() if name not in CORS}
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


class Server(BaseApplication):  # type: ignore[misc] # its base is untyped
    """The server of one application, configured by our settings alone."""

    def __init__(
        self, settings: Settings, build: Callable[[], WSGIApplication], hooks: Hooks | None = None
    ) -> None:
        """Keep what is needed; the application is built when the server starts.

        `hooks` are functions that gunicorn calls, by the name of its setting.
        """
        self.settings = settings
        self.build = build
        self.hooks = hooks or {}
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn's options."""
        for name, value in (*options(self.settings).items(), *self.hooks.items()):
            if name in self.cfg.settings:  # the control socket is unknown to older releases
                self.cfg.set(name, value)

    def load(self) -> WSGIApplication:
        """Return the application; runs once, before the fork."""
        app = self.build()
        # What exists now lives as long as the process: the collector need never look at it again, and
        # forked workers go on sharing the memory.
        gc.collect()
        gc.freeze()
        return app


def options(settings: Settings) -> dict[str, object]:
    """Return gunicorn's options for these settings."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    chosen: dict[str, object] = {
        "bind": f"{host}:{settings.port}",
        "workers": settings.workers,
        "threads": settings.threads,
        "worker_class": JsonErrorWorker,
        "preload_app": True,
        "loglevel": "warning",
        "proc_name": "rls-cds",
        "keepalive": 15,
        "graceful_timeout": 10,
        "control_socket_disable": True,
        # Paths and schemes come from the request itself, whoever stands in front.
        "forwarded_allow_ips": "",
        "forwarder_headers": "",
    }
    if os.access(_SHARED_MEMORY, os.W_OK):
        chosen["worker_tmp_dir"] = str(_SHARED_MEMORY)
    return chosen
