"""Which texts are addresses of servers, and which links lie below one."""

import pytest

from cds_service.addresses import ServerAddress, parse_address
from cds_service.profile import FhirPolicy

EHR = ServerAddress("https", "ehr.example.org", 443, "/api/FHIR/R4")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://ehr.example.org/api/FHIR/R4", EHR),
        ("HTTPS://EHR.example.ORG:443/api/FHIR/R4/", EHR),
        ("http://localhost:8080/fhir", ServerAddress("http", "localhost", 8080, "/fhir")),
        ("https://ehr.example.org", ServerAddress("https", "ehr.example.org", 443, "")),
        ("https://ehr.example.org/", ServerAddress("https", "ehr.example.org", 443, "")),
        ("http://127.0.0.1/fhir", ServerAddress("http", "127.0.0.1", 80, "/fhir")),
        ("http://[0:0:0::1]:1/fhir", ServerAddress("http", "[::1]", 1, "/fhir")),
    ],
)
def test_an_address_has_one_spelling(url: str, address: ServerAddress) -> None:
    assert parse_address(url) == address
    assert parse_address(f"{address.origin}{address.path}") == address


NO_ADDRESS = [
    "",
    "ehr.example.org/fhir",
    "//ehr.example.org/fhir",
    "file:///etc/passwd",
    "ftp://ehr.example.org/fhir",
    "gopher://127.0.0.1/",
    "https://",
    "https:///fhir",
    "https://user@ehr.example.org/fhir",
    "https://user:secret@ehr.example.org/fhir",
    "https://ehr.example.org@127.0.0.1/fhir",
    "https://ehr.example.org\\@127.0.0.1/fhir",
    "https://127.0.0.1#@ehr.example.org/",
    "https://ehr.example.org/fhir?x=1",
    "https://ehr.example.org/fhir#x",
    "https://ehr.example.org/fhir/../admin",
    "https://ehr.example.org/./fhir",
    "https://ehr.example.org/.../fhir",
    "https://ehr.example.org/%2e%2e/admin",
    "https://ehr.example.org//fhir",
    "https://ehr.example.org:0/fhir",
    "https://ehr.example.org:65536/fhir",
    "https://ehr.example.org:/fhir",
    "https://ehr.example.org./fhir",
    "https://ehr..example.org/fhir",
    "https://-ehr.example.org/fhir",
    "https://ehr.example.org/f hir",
    " https://ehr.example.org/fhir",
    "https://ehr.example.org/fhir\n",
    "https://ehr.example.org/fhir\r\nX: 1",
    "https://ehr\u3002example.org/fhir",
    "https://\u24d4hr.example.org/fhir",
    "https://xn--.ex\u00e4mple.org/fhir",
    "http://2130706433/fhir",
    "http://0x7f000001/fhir",
    "http://0x7f.1/fhir",
    "http://0177.0.0.1/fhir",
    "http://127.1/fhir",
    "http://127.0.0.1.:80/fhir",
    "http://127.0.0.256/fhir",
    "http://[::ffff:127.0.0.1]/fhir",
    "http://[::ffff:7f00:1]/fhir",
    "http://[::1%25lo]/fhir",
    "http://[::1/fhir",
    "http://[:::1]/fhir",
    "http://::1/fhir",
    "https://ehr.example.org/" + "x" * 2048,
]


@pytest.mark.parametrize("url", NO_ADDRESS)
def test_what_two_parsers_may_read_differently_is_no_address(url: str) -> None:
    assert parse_address(url) is None


@pytest.mark.parametrize(
    ("url", "is_loopback"),
    [
        ("http://localhost", True),
        ("http://127.0.0.1", True),
        ("http://127.8.9.10", True),
        ("http://[::1]", True),
        ("http://localhost.example.org", False),
        ("http://10.0.0.1", False),
        ("http://0.0.0.0", False),
        ("http://[::]", False),
        ("http://[fe80::1]", False),
    ],
)
def test_loopback_is_told_by_the_text_alone(url: str, is_loopback: bool) -> None:
    address = parse_address(url)
    assert address is not None
    assert address.is_loopback is is_loopback


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://ehr.example.org/api/FHIR/R4?_getpages=1&x=%7C", "/api/FHIR/R4?_getpages=1&x=%7C"),
        ("https://ehr.example.org/api/FHIR/R4/?a=b", "/api/FHIR/R4/?a=b"),
        ("https://EHR.example.org:443/api/FHIR/R4/Observation?page=2", "/api/FHIR/R4/Observation?page=2"),
        ("https://ehr.example.org/api/FHIR/R4/Observation/next/x", "/api/FHIR/R4/Observation/next/x"),
        ("Observation?page=2", "/api/FHIR/R4/Observation?page=2"),
    ],
)
def test_a_page_below_the_base_may_be_asked_for(url: str, target: str) -> None:
    assert EHR.below(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example.org/api/FHIR/R4/Observation?page=2",
        "http://ehr.example.org/api/FHIR/R4/Observation?page=2",
        "https://ehr.example.org:8443/api/FHIR/R4/Observation?page=2",
        "https://ehr.example.org/api/FHIR/R4x/Observation",
        "https://ehr.example.org/api/FHIR",
        "https://ehr.example.org/admin",
        "https://ehr.example.org/api/FHIR/R4/../../../admin",
        "https://ehr.example.org/api/FHIR/R4/%2e%2e/admin",
        "https://x@ehr.example.org/api/FHIR/R4",
        "//other.example.org/api/FHIR/R4",
        "/api/FHIR/R4/Observation?page=2",
        "../Observation",
        "?page=2",
        "",
        "Observation?page=\r\nHost: x",
        "Observation?page=2#x",
        "Observation?page=\\2",
        "Observation?page=" + "2" * 2048,
    ],
)
def test_any_other_page_is_out_of_reach(url: str) -> None:
    assert EHR.below(url) is None


OPEN = FhirPolicy(servers=(EHR,), is_loopback_allowed=True)
STRICT = FhirPolicy(servers=(EHR, ServerAddress("http", "localhost", 80, "")))


@pytest.mark.parametrize(
    ("policy", "url", "is_allowed"),
    [
        (OPEN, "https://ehr.example.org/api/FHIR/R4/", True),
        (OPEN, "http://ehr.example.org/api/FHIR/R4", False),
        (OPEN, "https://ehr.example.org/api/FHIR/R5", False),
        (OPEN, "https://ehr.example.org:444/api/FHIR/R4", False),
        (OPEN, "https://ehr.example.org.evil.example/api/FHIR/R4", False),
        (OPEN, "http://localhost:1234/x", True),
        (OPEN, "https://[::1]/x", True),
        (OPEN, "http://169.254.169.254/latest/meta-data", False),
        (OPEN, None, False),
        (STRICT, "https://ehr.example.org/api/FHIR/R4", True),
        (STRICT, "http://localhost", False),
        (STRICT, "https://localhost", False),
        (FhirPolicy(), "https://ehr.example.org/api/FHIR/R4", False),
        *((OPEN, url, False) for url in NO_ADDRESS),
    ],
)
def test_only_named_servers_may_be_asked(policy: FhirPolicy, url: str | None, is_allowed: bool) -> None:
    assert (policy.address(url) is not None) is is_allowed
