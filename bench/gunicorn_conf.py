"""One server for both applications of the bench."""

import gc

bind = "127.0.0.1:0"
loglevel = "error"
preload_app = True
threads = 8
worker_class = "gthread"
workers = 1


def post_fork(_server: object, _worker: object) -> None:
    """Keep the collector away from what was loaded before the fork, for both applications alike."""
    gc.freeze()
