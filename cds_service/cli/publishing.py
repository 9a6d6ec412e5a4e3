"""`rls-cds knowledge publish`: the published resources as files."""

from pathlib import Path

from cds_service.published import Publication


def write_publication(publication: Publication, out: Path) -> int:
    """Write each resource to `TYPE-ID.json` in a folder, and all of them to `Bundle-knowledge.json`.

    Returns how many files were written; raises OSError.
    """
    out.mkdir(parents=True, exist_ok=True)
    files = {f"{one.kind}-{one.id}.json": one.body for one in publication.entries}
    files["Bundle-knowledge.json"] = publication.bundle
    for name, body in files.items():
        (out / name).write_bytes(body)
    return len(files)
