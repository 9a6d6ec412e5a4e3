"""What a test asks our page to do, and what the browser let the page see."""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Frame, Page

Json = dict[str, Any]


@dataclass
class Client:
    """Our page; `preflights` are the addresses for which the browser asked first, with what it asked."""

    page: "Page"
    preflights: list[tuple[str, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        # A preflight is the browser's own request: the page never sees it, the developer tools do.
        tools = self.page.context.new_cdp_session(self.page)
        tools.send("Network.enable")
        tools.on("Network.requestWillBeSent", self._note)

    def _note(self, event: Json) -> None:
        request = event["request"]
        if request["method"] == "OPTIONS":
            headers = {name.lower(): value for name, value in request["headers"].items()}
            asked = headers.get("access-control-request-method", "")
            names = headers.get("access-control-request-headers", "")
            self.preflights.append((request["url"], asked, names))

    def get(self, url: str, **options: Any) -> Json:
        """Return what the page read of a GET."""
        return self._run("([url, options]) => exchange(url, options)", [url, options])

    def post(self, url: str, value: object, **options: Any) -> Json:
        """Return what the page read of a POST of JSON."""
        return self._run("([url, value, options]) => post(url, value, options)", [url, value, options])

    def send(self, url: str, body: str, **options: Any) -> Json:
        """Return what the page read of a POST of any text."""
        return self._run(
            "([url, options]) => exchange(url, options)", [url, {"method": "POST", "body": body, **options}]
        )

    def open_chart(self, **chart: Any) -> Json:
        """Return what the page did and read when it opened a chart as an EHR does."""
        return self._run("(chart) => openChart(chart)", chart)

    def sandboxed_frame(self) -> "Frame":
        """Return a frame in our page that has no origin, as clients use it for what they do not trust."""
        script = """() => {
            const frame = document.createElement("iframe");
            frame.sandbox = "allow-scripts";
            frame.srcdoc = "<title>No origin</title>";
            document.body.append(frame);
        }"""
        with self.page.expect_event("frameattached") as attached:
            self.page.evaluate(script)
        frame: Frame = attached.value
        frame.wait_for_load_state()
        return frame

    def _run(self, script: str, argument: object) -> Json:
        told: Json = json.loads(json.dumps(self.page.evaluate(script, argument)))
        return told
