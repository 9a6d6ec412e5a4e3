"""The command line; `rls-cds --help` lists the commands."""

from cds_service.cli.commands import main
from cds_service.cli.terminology import terminology_group

__all__ = ["main", "terminology_group"]
