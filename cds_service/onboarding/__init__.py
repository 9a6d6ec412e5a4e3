"""Connecting a site: what an analyst enters in the EHR, what an engineer must know of its FHIR server."""
