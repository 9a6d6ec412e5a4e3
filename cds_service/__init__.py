"""A CDS Hooks service that asks for iron studies where restless legs syndrome is on record or likely."""

__version__ = "0.1.0"
