"""Coverage-guided fuzzing of what reads strangers' bytes: the JSON door and the FHIR door.

    python -m tests.fuzz.doors json --seconds 60
    python -m tests.fuzz.doors fhir --seconds 60

Seeds come from `fixtures/`. Half of the changes are made to the tree of a document, so that they get past
the syntax. Ends with an error and a file `crash-*` in the folder of `--findings` where a promise is broken.
"""

import argparse
import json
import math
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import atheris

# What is imported here is instrumented, so that the fuzzer sees which branches an input takes.
with atheris.instrument_imports(include=["cds_service.protocol", "cds_service.fhir", "cds_service.clinical"]):
    from cds_service.adapters.clock import FixedClock
    from cds_service.app import build_assess, load_knowledge
    from cds_service.assess import PatientView, RequiredDataMissing
    from cds_service.fhir import PrefetchUnreadable, open_record
    from cds_service.protocol.envelope import parse_hook_request
    from cds_service.protocol.errors import BadRequest
    from cds_service.protocol.feedback import parse_feedback
    from cds_service.protocol.jsonio import load_json
    from cds_service.protocol.prefetch import PREFETCH_NEEDS
    from cds_service.resources import fixtures_dir
    from cds_service.settings import Settings

TODAY = date(2026, 11, 22)
PATIENT = "example-001"
# Nesting below which every JSON reader of the service must agree with the standard library.
SURE_DEPTH = 60
ATOMS: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1e308,
        28,
        "",
        " ",
        "\x00",
        "\ud7ff",
        "\U0001d54f",
        "2026",
        "2026-11",
        "2026-11-22",
    ),
    *("2026-11-22T10:00:00Z", "final", "active", "entered-in-error", "G25.81", "2276-4", "ng/mL", "<", ">="),
    *(f"Patient/{PATIENT}", "#1", "urn:uuid:x", [], {}, [None], {"resourceType": "Bundle"}),
)


# ------------------------------------------------------------------------------------------- JSON door
def json_door(data: bytes) -> None:
    """Check that a body is read as the standard library reads it, or refused with our own error."""
    expected, is_json = reference(data)
    try:
        found = load_json(data)
    except BadRequest:
        if is_json and depth(expected) < SURE_DEPTH:
            raise
    else:
        if not is_json:
            raise AssertionError("taken, though it is no JSON")
        if not is_same(found, expected):
            raise AssertionError("read otherwise than it is")
    for parse in (
        lambda: parse_hook_request(data, expected_hook="patient-view"),
        lambda: parse_feedback(data),
    ):
        try:
            parsed = parse()
        except BadRequest:
            continue
        raw = getattr(parsed, "prefetch", None)
        if raw is not None and not is_same(load_json(bytes(raw)), expected["prefetch"]):
            raise AssertionError("the prefetch is another one than was sent")


def reference(data: bytes) -> tuple[Any, bool]:
    """Return what the standard library reads, and whether the bytes are JSON at all.

    Half a surrogate pair is no text (RFC 8259, section 8.2, leaves it open); the service refuses it.
    """
    try:
        found = json.loads(data.decode("utf-8"), parse_int=float, parse_constant=_no_constant)
        json.dumps(found, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        return None, False
    return found, True


def _no_constant(name: str) -> None:
    raise ValueError(name)


def depth(value: Any) -> int:
    """Return the levels of nesting."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are the same; numbers that are too large for a float are both infinite."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    return type(one) is type(other) and one == other


# ------------------------------------------------------------------------------------------- FHIR door
class FhirDoor:
    """Opens a prefetch object as a record, and assesses it."""

    def __init__(self) -> None:
        settings = Settings(screening=True)
        self.clock = FixedClock(settings.zone, TODAY)
        self.knowledge = load_knowledge(settings)
        self.assess = build_assess(settings, clock=self.clock, knowledge=self.knowledge)

    def __call__(self, data: bytes) -> None:
        """Check that any JSON object is read and answered: with cards, or with what is missing."""
        try:
            load_json(data)
        except BadRequest:
            return  # no such body gets past the JSON door
        try:
            record = open_record(
                data,
                own_keys=PREFETCH_NEEDS,
                patient_id=PATIENT,
                fhir_server=None,
                version_hint=None,
                knowledge=self.knowledge,
                zone=self.clock.zone,
                today=TODAY,
            )
        except PrefetchUnreadable:
            return
        if record.facts.patient is not None and f'"{PATIENT}"'.encode() not in data.replace(b"\\", b""):
            raise AssertionError("a patient that was not sent")
        try:
            answer = self.assess(PatientView("rls-iron-assessment", "fuzz", PATIENT, data))
        except RequiredDataMissing as error:
            if not error.missing:
                raise AssertionError("nothing is missing") from None
        else:
            keys = [card.source.topic.code for card in answer.cards if card.source.topic is not None]
            if len(keys) > 2 or len(set(keys)) != len(keys):
                raise AssertionError(keys)


# --------------------------------------------------------------------------------------------- changes
def mutate(data: bytes, most: int, number: int) -> bytes:
    """Return a changed document: its tree, or where that is not possible or by chance, its bytes."""
    dice = random.Random(number)
    if dice.random() < 0.3:
        return bytes(atheris.Mutate(data, most))
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return bytes(atheris.Mutate(data, most))
    for _ in range(dice.choice((1, 1, 2, 4))):
        tree = changed(tree, dice)
    made = json.dumps(tree, ensure_ascii=dice.random() < 0.5).encode("utf-8", "replace")
    return made if len(made) <= most else data


def changed(tree: Any, dice: random.Random) -> Any:
    """Return a tree with one place changed."""
    places = list(places_in(tree))
    if not places:
        return copied(dice.choice(ATOMS))
    holder, key = dice.choice(places)
    match dice.randrange(6):
        case 0:
            holder[key] = copied(dice.choice(ATOMS))
        case 1:
            other, name = dice.choice(places)
            holder[key] = copied(other[name])
        case 2:
            del holder[key]
        case 3 if isinstance(holder, list):
            holder.insert(key, copied(holder[key]))
        case 4:
            holder[key] = [holder[key]]
        case _ if isinstance(holder[key], str):
            holder[key] = holder[key][: dice.randrange(len(holder[key]) + 1)] + dice.choice(
                ("", "0", "é", "-", "T")
            )
        case _:
            holder[key] = copied(dice.choice(ATOMS))
    return tree


def copied(value: Any) -> Any:
    """Return a value that shares nothing with the tree that it comes from."""
    return json.loads(json.dumps(value))


def places_in(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place of a tree as its holder and the key there."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield tree, key
        yield from places_in(value)


# ----------------------------------------------------------------------------------------------- start
def seeds(door: str) -> Iterator[bytes]:
    """Yield the documents to begin with."""
    for path in sorted(fixtures_dir().glob("*/request.json")):
        request = json.loads(path.read_text(encoding="utf-8"))
        if door == "json":
            yield json.dumps(request).encode()
        elif isinstance(request.get("prefetch"), dict):
            text = json.dumps(request["prefetch"])
            yield text.replace(request["context"]["patientId"], PATIENT).encode()


def main() -> None:
    """Fuzz one door; libFuzzer ends the process itself."""
    parser = argparse.ArgumentParser(description="Fuzz a door.")
    parser.add_argument("door", choices=("json", "fhir"))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    chosen = parser.parse_args()
    chosen.findings.mkdir(exist_ok=True)
    door: Callable[[bytes], None] = json_door if chosen.door == "json" else FhirDoor()
    corpus = Path(tempfile.mkdtemp())
    for number, seed in enumerate(seeds(chosen.door)):
        (corpus / f"{number:03}.json").write_bytes(seed)
    options = [
        *(f"-max_total_time={chosen.seconds}", f"-seed={chosen.seed}", "-timeout=20", "-rss_limit_mb=3000"),
        *(f"-artifact_prefix={chosen.findings}/{chosen.door}-", "-print_final_stats=1", "-verbosity=0"),
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *options], door, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
