"""A PostgreSQL server that lets callers in and never says another word."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

_SSL, _GSS = 80877103, 80877104
_SETTINGS = {
    "server_version": "16.0",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "integer_datetimes": "on",
}


@contextmanager
def silent_postgresql() -> Iterator[str]:
    """Yield the address of the server."""
    with closing(socket.create_server(("127.0.0.1", 0))) as door:
        threading.Thread(target=_accept, args=(door,), daemon=True).start()
        yield f"postgresql://u:p@127.0.0.1:{door.getsockname()[1]}/d"


def _accept(door: socket.socket) -> None:
    while True:
        try:
            connection, _ = door.accept()
        except OSError:
            return
        threading.Thread(target=_let_in, args=(connection,), daemon=True).start()


def _let_in(connection: socket.socket) -> None:
    with closing(connection):
        while _wants_encryption(connection):
            connection.sendall(b"N")
        told = [_message(b"S", f"{name}\0{value}\0".encode()) for name, value in _SETTINGS.items()]
        key = _message(b"K", struct.pack("!II", 1, 1))
        connection.sendall(b"".join([_message(b"R", struct.pack("!I", 0)), *told, key, _message(b"Z", b"I")]))
        try:
            while connection.recv(65536):
                pass
        except ConnectionError:
            return


def _wants_encryption(connection: socket.socket) -> bool:
    (length,) = struct.unpack("!I", connection.recv(4))
    (code,) = struct.unpack("!I", connection.recv(length - 4)[:4])
    return code in {_SSL, _GSS}


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body
