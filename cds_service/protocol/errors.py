"""What is wrong with a request, told without repeating any of it."""


class BadRequest(ValueError):
    """The request does not follow CDS Hooks; `diagnostics` never holds a value that was sent.

    `code` is an OperationOutcome issue type: `structure`, `required` or `value`.
    """

    def __init__(self, code: str, diagnostics: str) -> None:
        """Keep the issue type and the sentence for the caller's developer."""
        super().__init__(diagnostics)
        self.code = code
        self.diagnostics = diagnostics


class NotJson(BadRequest):
    """The body is not the strict JSON that this service takes."""

    def __init__(self, diagnostics: str) -> None:
        """Keep the sentence; the issue type is always `structure`."""
        super().__init__("structure", diagnostics)
