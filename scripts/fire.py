"""Post a sample request to the service on a port of this machine; exit 1 unless its two cards come back.

Runs inside the image, from standard input, with nothing but what is installed there: `python - PORT`.
"""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

SAMPLE = "readme-patient/request.json"
EXPECTED = ["IRON03", "DRUG01"]


def main() -> int:
    """Return 0 when the expected cards came back from a process that is not root."""
    port = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["rls-cds", "fixtures", "--out", folder], check=True)  # noqa: S607 - the image's own command
        body = Path(folder, SAMPLE).read_bytes()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/cds-services/rls-iron-assessment",
        data=body,
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - a fixed address
        cards = json.load(response)["cards"]
    for card in cards:
        print(f"{card['indicator']}: {card['summary']}")
    print(f"user {os.getuid()}")
    topics = [card["source"]["topic"]["code"] for card in cards]
    return 0 if topics == EXPECTED and os.getuid() != 0 else 1


if __name__ == "__main__":
    sys.exit(main())
