"""Connecting a site: what an analyst enters in the EHR, what an engineer must know of its FHIR server."""

CLIENTS = ("epic", "oracle", "generic")
"""Whose words a build sheet can use; `vendors.toml` has a table for each."""

DEFAULT_BASE = "https://YOUR-HOST"
"""What stands for the address of the service where none is given."""
