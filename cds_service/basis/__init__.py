"""The public basis: what stands on its pages, drawn from the knowledge files and the card templates alone.

Nothing here is on the path of a call; `web` loads it with the first page that somebody asks for.
"""

from cds_service.basis.attributes import source_attributes
from cds_service.basis.pages import CardPage, Library, load_library

__all__ = ["CardPage", "Library", "load_library", "source_attributes"]
