"""The knowledge base as FHIR R4 artefacts, generated from the data by which the service decides.

A plan with one action for each card, the suggested orders, every code group, the rules in CQL, and the code
systems of our keys. Nothing here is on the path of a call; it is made at the first demand.
"""

from cds_service.published.publication import Entry, Publication, Service, publish

__all__ = ["Entry", "Publication", "Service", "publish"]
