"""What is known about earlier answers, as long as nothing is remembered."""


class NothingKnown:
    """Knows of no advice that was turned down, so nothing is kept silent for that reason."""

    def is_quiet(self, *, client: str, patient_id: str, card_key: str, fingerprint: str) -> bool:  # noqa: ARG002 - as the port asks
        """Return False: nothing is known."""
        return False
