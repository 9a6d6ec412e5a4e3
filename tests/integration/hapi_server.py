"""The FHIR server of these tests: built with Maven when its sources changed, started, and stopped again."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

HOME = Path(__file__).parent / "hapi"
BUILD = HOME / "build"
CLASSPATH = BUILD / "classpath.txt"

_BUILD_SECONDS = 480
_START_SECONDS = 120
_JAVA_OPTIONS = ("-Xmx1g", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.awt.headless=true")


class ServerError(Exception):
    """The server cannot be had; the text says what to do."""


@dataclass(frozen=True)
class FhirServer:
    """A running server with its faces (see hapi/src/integration/FhirServer.java)."""

    port: int
    version: str

    def base(self, face: str = "fhir") -> str:
        """Return the base URL of one face."""
        return f"http://127.0.0.1:{self.port}/{face}"

    def get(self, path: str, face: str = "fhir", **options: Any) -> requests.Response:
        """Return the answer to a GET of a path below the base."""
        return requests.get(f"{self.base(face)}/{path}", timeout=60, **options)

    def load(self, resources: list[dict[str, Any]]) -> None:
        """Put resources under their own ids, in one transaction."""
        entries = [
            {
                "resource": resource,
                "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"},
            }
            for resource in resources
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        headers = {"Content-Type": "application/fhir+json"}
        response = requests.post(self.base(), json=bundle, headers=headers, timeout=120)
        if response.status_code != 200:
            raise ServerError(f"The server took no data: {response.status_code} {response.text[:2000]}")


def tool(name: str) -> str:
    """Return the path of a program that these tests cannot do without."""
    path = shutil.which(name)
    if path is None:
        raise ServerError(
            f"The integration tests need {name}: install Java 17 or newer and Maven 3.8 or newer "
            "(Debian: apt-get install openjdk-17-jdk-headless maven)."
        )
    return path


def build() -> None:
    """Compile the server and note its classpath, unless both are newer than the sources."""
    tool("java")
    maven = tool("mvn")
    if _is_built():
        return
    command = [maven, "--batch-mode", "--no-transfer-progress", "--quiet", "process-classes"]
    result = subprocess.run(
        command, cwd=HOME, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False
    )
    if result.returncode:
        raise ServerError(f"Maven could not build the FHIR server:\n{result.stdout}{result.stderr}")


def _is_built() -> bool:
    if not CLASSPATH.is_file():
        return False
    built = CLASSPATH.stat().st_mtime
    sources = [HOME / "pom.xml", *HOME.glob("src/**/*.java"), *HOME.glob("resources/*")]
    jars = CLASSPATH.read_text(encoding="utf-8").strip().split(":")
    is_newest = all(source.stat().st_mtime < built for source in sources)
    return is_newest and all(Path(jar).is_file() for jar in jars)


def java_command(program: str, *arguments: str) -> list[str]:
    """Return the command that runs one of our Java programs, built before if need be."""
    build()
    jars = CLASSPATH.read_text(encoding="utf-8").strip()
    return [tool("java"), *_JAVA_OPTIONS, "-cp", f"{BUILD / 'classes'}:{jars}", program, *arguments]


@contextmanager
def running(version: str = "R4") -> Iterator[FhirServer]:
    """Start the server in one FHIR version on a free port, and stop it at the end."""
    command = java_command("integration.FhirServer", version)
    log = BUILD / f"server-{version}.log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            server = FhirServer(_port(process, log), version)
            _wait_for_metadata(server)
            yield server
        finally:
            process.kill()


def _port(process: "subprocess.Popen[str]", log: Path) -> int:
    said = "listening on "
    for line in process.stdout or ():
        if line.startswith(said):
            return int(line.removeprefix(said))
    raise ServerError(f"The FHIR server ended before it listened; see {log}")


def _wait_for_metadata(server: FhirServer) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while server.get("metadata").status_code != 200:
        if time.monotonic() > deadline:
            raise ServerError("The FHIR server gave no /metadata in time")
        time.sleep(0.2)
