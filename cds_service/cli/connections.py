"""Connections that no stranger can hold: whoever goes silent, or drips, is given up.

gunicorn reads and writes in threads and lets a socket wait for ever. A few dozen connections with half a
header, or whose answers nobody takes, would so hold every thread.
"""

import errno
import select
import socket
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from typing_extensions import Buffer

LONGEST_SILENCE = 5.0
"""Seconds in which at least one byte has to come, or has to be taken."""
LONGEST_HEAD = 5.0
"""Seconds for the whole head of a request."""
LONGEST_BODY = 30.0
"""Seconds for the whole body."""
LONGEST_ANSWER = 30.0
"""Seconds in which an answer has to be taken."""


class GivenUpError(ConnectionResetError):
    """The other side took too long; gunicorn treats it like one that has gone."""

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "the other side took too long")


class BoundedSocket(socket.socket):
    """A connection whose reads and writes end in time.

    What can be read or written at once costs no more than with any other socket.
    """

    _until = float("inf")

    @classmethod
    def of(cls, accepted: socket.socket) -> Self:
        """Return the accepted connection; `accepted` itself is of no more use."""
        return cls(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())

    def expect(self, seconds: float) -> None:
        """Allow so much time, from now on, for all that is read until the next call."""
        self._until = time.monotonic() + seconds

    def has_data(self) -> bool:
        """Whether something can be read without waiting, the end of the stream included."""
        try:
            super().recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Return what has come, b"" at the end; raises `GivenUpError`."""
        while True:
            try:
                return super().recv(bufsize, flags | socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._wait(select.POLLIN, self._until)

    def send(self, data: "Buffer", flags: int = 0) -> int:
        """Send what goes, and return how many bytes; raises `GivenUpError`."""
        return self._send(data, flags, time.monotonic() + LONGEST_ANSWER)

    def sendall(self, data: "Buffer", flags: int = 0) -> None:
        """Send everything; raises `GivenUpError`."""
        left = memoryview(data)
        until = time.monotonic() + LONGEST_ANSWER
        while left:
            left = left[self._send(left, flags, until) :]

    def _send(self, data: "Buffer", flags: int, until: float) -> int:
        while True:
            try:
                return super().send(data, flags | socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._wait(select.POLLOUT, until)

    def _wait(self, what: int, until: float) -> None:
        """Wait for the other side; a socket that may not block raises as it would by itself."""
        own = self.gettimeout()
        if own == 0:
            raise BlockingIOError(errno.EAGAIN, "not ready")
        seconds = min(LONGEST_SILENCE, until - time.monotonic(), LONGEST_SILENCE if own is None else own)
        poll = select.poll()
        poll.register(self, what)
        if seconds <= 0 or not poll.poll(seconds * 1000):
            raise GivenUpError
