"""The command line: `rls-cds serve | evaluate | fixtures | knowledge lint`."""

from cds_service.cli.commands import main

__all__ = ["main"]
