"""What the bench compares: the service and its yardsticks, each as one call from bytes to bytes."""

import gc
import io
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

Call = Callable[[bytes], bytes]

PATH = "/cds-services/rls-iron-assessment"
# The default limit is 10 MiB; the largest request of the bench has 19.
MAX_BODY = 64 * 1024 * 1024


def service_app() -> "WSGIApplication":
    """Return the service as it is deployed, log lines included, but for the raised body limit."""
    from cds_service.app import warm_app  # noqa: PLC0415 - each variant loads only what it needs
    from cds_service.settings import Settings  # noqa: PLC0415 - see service_app
    from cds_service.web.logs import log_to_stderr  # noqa: PLC0415 - see service_app

    log_to_stderr()
    return warm_app(Settings(max_body=MAX_BODY))


def echo_app() -> "WSGIApplication":
    """Return a Flask application that reads JSON and writes it back, with the standard library."""
    from flask import Flask, Response, request  # noqa: PLC0415 - see service_app

    app = Flask("echo")

    @app.post(PATH)
    def echo() -> Response:
        data = json.loads(request.get_data(cache=False))
        return Response(json.dumps(data), mimetype="application/json")

    return app


def models_app() -> "WSGIApplication":
    """Return the same rule written on a model for every resource, as frameworks do it."""
    from fhir.resources.R4B import get_fhir_model_class  # noqa: PLC0415 - see service_app
    from flask import Flask, Response, request  # noqa: PLC0415 - see service_app

    app = Flask("models")

    @app.post(PATH)
    def assess() -> Response:
        models = []
        for value in json.loads(request.get_data(cache=False))["prefetch"].values():
            entries = value.get("entry", []) if value["resourceType"] == "Bundle" else [{"resource": value}]
            for entry in entries:
                resource = entry["resource"]
                models.append(get_fhir_model_class(resource["resourceType"]).model_validate(resource))
        return Response(json.dumps({"cards": _cards(models)}), mimetype="application/json")

    return app


def _cards(models: list[Any]) -> list[dict[str, Any]]:
    has_rls = any(_has_code(model, "Condition", "G25.81") for model in models)
    ferritins = [model for model in models if _has_code(model, "Observation", "2276-4")]
    newest = max(ferritins, key=lambda model: model.effectiveDateTime)
    takes_ssri = any(_has_medicine(model, "sertraline") for model in models)
    cards = []
    if has_rls and newest.valueQuantity.value < 50:  # noqa: PLR2004 - the threshold of the card
        cards.append(_card("IRON03", f"Ferritin {newest.valueQuantity.value} ng/mL"))
    if has_rls and takes_ssri:
        cards.append(_card("DRUG01", "sertraline"))
    return cards


def _card(topic: str, summary: str) -> dict[str, Any]:
    return {"summary": summary, "indicator": "info", "source": {"label": "bench", "topic": {"code": topic}}}


def _has_code(model: Any, kind: str, code: str) -> bool:  # noqa: ANN401 - any FHIR model
    return model.get_resource_type() == kind and any(coding.code == code for coding in model.code.coding)


def _has_medicine(model: Any, word: str) -> bool:  # noqa: ANN401 - any FHIR model
    if model.get_resource_type() not in {"MedicationRequest", "MedicationStatement"}:
        return False
    return word in model.medicationCodeableConcept.text


def wsgi_call(app: "WSGIApplication") -> Call:
    """Return a function that posts a body to `app` without a server and returns the answer's body."""

    def call(body: bytes) -> bytes:
        status: list[str] = []
        environ = {
            "REQUEST_METHOD": "POST",
            "SCRIPT_NAME": "",
            "PATH_INFO": PATH,
            "QUERY_STRING": "",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }

        def start_response(line: str, _headers: Any, _error: Any = None) -> Callable[[bytes], object]:  # noqa: ANN401 - as WSGI types it
            status.append(line)
            return lambda _: None

        answer = app(environ, start_response)
        try:
            content = b"".join(answer)
        finally:
            close = getattr(answer, "close", None)
            if close:
                close()
        if not status[0].startswith("200"):
            message = f"{status[0]}: {content[:300]!r}"
            raise RuntimeError(message)
        return content

    return call


def orjson_call() -> Call:
    """Return a function that only parses, as fast as Python allows; it turns the collector off."""
    import orjson  # noqa: PLC0415 - see service_app

    gc.disable()

    def call(body: bytes) -> bytes:
        orjson.loads(body)
        return b""

    return call


def make(variant: str) -> Call:
    """Return the call of one variant: service, echo, models or orjson."""
    if variant == "orjson":
        return orjson_call()
    apps = {"service": service_app, "echo": echo_app, "models": models_app}
    return wsgi_call(apps[variant]())


def check_cards(answer: bytes, expected: tuple[str, ...]) -> None:
    """Raise unless the answer holds exactly the expected cards."""
    topics = tuple(card["source"]["topic"]["code"] for card in json.loads(answer)["cards"])
    if topics != expected:
        message = f"expected the cards {expected}, got {topics}"
        raise RuntimeError(message)
