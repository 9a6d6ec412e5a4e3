"""Why a server cannot be examined, in words for whoever has to mend it."""

from collections.abc import Sequence

from cds_service.adapters.watched import Exchange
from cds_service.clinical.facts import NeedState
from cds_service.onboarding.patients import Chosen
from cds_service.onboarding.server import ServerFacts
from cds_service.onboarding.visits import Visit
from cds_service.ports import FetchProblem, FhirAccess

_UNAUTHORISED = 401
_ANSWERED = frozenset({NeedState.ANSWERED, NeedState.CUT_OFF})
_PATIENTS_HINT = "Name some with --patient."


class Unexaminable(Exception):
    """The server cannot be examined; the text says why and what to do, without token or patient."""


_UNREACHABLE = {
    FetchProblem.NAME_UNKNOWN: "The name of the server is not known here (DNS).",
    FetchProblem.UNREACHABLE: "No connection to the server: nothing listens there, or a firewall is between.",
    FetchProblem.NOT_TRUSTED: (
        "No TLS connection that can be trusted: the certificate is for another name or of an unknown signer."
        " The authority of a hospital is added with SSL_CERT_FILE."
    ),
    FetchProblem.FORBIDDEN_ADDRESS: (
        "The name leads to an address that is never called (this machine, link-local or a cloud's metadata)."
    ),
    FetchProblem.TIMED_OUT: "The server did not answer in time.",
}


def check_reachable(server: ServerFacts, access: FhirAccess) -> None:
    """Raise `Unexaminable` when there is no connection to ask anything over."""
    if server.problem in _UNREACHABLE:
        raise Unexaminable(_why(server.problem, server.answer, access))


def _why(problem: FetchProblem | None, answer: Exchange | None, access: FhirAccess) -> str:
    """Return why a server cannot be examined, in a sentence."""
    if problem in _UNREACHABLE:
        return _UNREACHABLE[problem]
    if problem is FetchProblem.REFUSED:
        return _refusal(answer, access)
    if problem is FetchProblem.NOT_FHIR:
        kind = answer.media_type if answer is not None else ""
        if "html" in kind:
            return "The server answers with a web page (text/html), not FHIR: is this the FHIR base address?"
        return f"The server answers with something else than FHIR{f' ({kind})' if kind else ''}."
    if problem is FetchProblem.REDIRECTED:
        return "The server redirects; no redirect is followed. Name the address that it leads to."
    return f"The server could not be asked: {problem.value if problem else 'nothing came'}."


def _refusal(answer: Exchange | None, access: FhirAccess) -> str:
    status = answer.status if answer is not None else _UNAUTHORISED
    if access.token is None:
        return f"The server refuses access ({status}) and no token was given (--token-file)."
    if status == _UNAUTHORISED:
        return "The server does not accept the token (401): it may have run out, or be for another server."
    return f"The token does not allow this ({status}): look at its scopes."


def nobody_found(chosen: Chosen, server: ServerFacts, access: FhirAccess) -> Unexaminable:
    """Return why there is no patient to try."""
    problems = [answer.problem for _, answer in chosen.answers]
    if all(problem is not None for problem in problems):
        last = _last(chosen.exchanges) or server.answer
        return Unexaminable(f"{_why(problems[-1], last, access)} {_PATIENTS_HINT}")
    if not server.told:
        return Unexaminable(f"{_why(server.problem, server.answer, access)} {_PATIENTS_HINT}")
    return Unexaminable(f"The server offers no patients to try. {_PATIENTS_HINT}")


def check_answers(visits: Sequence[Visit], server: ServerFacts, access: FhirAccess) -> None:
    """Raise `Unexaminable` when no search at all was answered."""
    seen = [visit.seen for visit in visits]
    if any(set(visit.wider.table.states.values()) & _ANSWERED for visit in visits):
        return
    problems = [answer.problem for one in seen for _, answer in one.asked if answer.problem is not None]
    problem = problems[0] if problems else FetchProblem.NOT_FHIR
    exchanges = [one for each in seen for one in each.exchanges]
    raise Unexaminable(f"No search was answered. {_why(problem, _last(exchanges) or server.answer, access)}")


def _last(exchanges: Sequence[Exchange]) -> Exchange | None:
    return exchanges[-1] if exchanges else None
