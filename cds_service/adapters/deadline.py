"""The moment at which whatever is being done has to end, for those who wait deep inside of it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_END: ContextVar[float] = ContextVar("deadline", default=float("inf"))


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let everything inside end after so many seconds at the latest."""
    token = _END.set(min(_END.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _END.reset(token)


def is_over() -> bool:
    """Whether the time of what is being done has run out; never where none was set."""
    return time.monotonic() > _END.get()
