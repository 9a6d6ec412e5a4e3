"""What vendors say in public, from `vendors.toml`."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict, Field

from cds_service.fhir import FhirVersion
from cds_service.trust import TrustPart


class Vendor(BaseModel):
    """One vendor's facts; `vendors.toml` explains the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    source: str
    reads_discovery: bool
    release: FhirVersion
    left_out: tuple[str, ...]
    other_releases: tuple[FhirVersion, ...]
    order_systems: tuple[str, ...]
    registration: tuple[tuple[str, str], ...]
    facts: tuple[str, ...] = Field(min_length=1)
    apis: Mapping[str, tuple[str, ...]]
    token: Mapping[str, str]
    trust: TrustPart


@cache
def vendors() -> Mapping[str, Vendor]:
    """Return the vendors by the name that the command takes."""
    text = files("cds_service.onboarding").joinpath("vendors.toml").read_text(encoding="utf-8")
    return MappingProxyType({key: Vendor.model_validate(value) for key, value in tomllib.loads(text).items()})
