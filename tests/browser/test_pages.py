"""The pages for people in a real browser: accessible, without scripts, on any screen, on paper."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from cds_service.clinical.assessment import CardKey
from tests.browser.conftest import Service

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

PAGES = [
    "",
    "basis",
    "basis/factors",
    "basis/source-attributes",
    "basis/nothing",
    "knowledge/",
    *(f"basis/{key.topic_code}" for key in CardKey),
]
# Width and zoom: a desktop, a phone, and a desktop at a zoom of 200 % (half the pixels, twice as dense).
SCREENS = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {"viewport": {"width": 320, "height": 640}},
    "zoomed": {"viewport": {"width": 640, "height": 400}, "device_scale_factor": 2},
}


# Every page on two opposite screens, and one of each kind on the others.
EVERYWHERE = ["", "basis", "basis/factors", "basis/IRON03"]
VIEWS = [
    (name, screen, scheme)
    for screen in SCREENS
    for scheme in ("light", "dark")
    for name in (PAGES if (screen, scheme) in {("desktop", "light"), ("phone", "dark")} else EVERYWHERE)
]


@contextmanager
def viewed(browser: "Browser", screen: str, scheme: str) -> "Iterator[Page]":
    """Give a page whose policy is not in force, since the checker is a script that is brought in."""
    context = browser.new_context(bypass_csp=True, color_scheme=scheme, **SCREENS[screen])
    yield context.new_page()
    context.close()


@pytest.mark.parametrize(("name", "screen", "scheme"), VIEWS)
def test_a_page_is_accessible_and_fits_the_screen(
    browser: "Browser", service: Service, name: str, screen: str, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415 - only these tests need it

    with viewed(browser, screen, scheme) as page:
        page.goto(f"{service.origin}/{name}")
        found: list[dict[str, Any]] = Axe().run(page).response["violations"]
        assert [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found] == []
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_the_checker_sees_a_fault(browser: "Browser", service: Service) -> None:
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415 - as above

    with viewed(browser, "desktop", "light") as page:
        page.goto(f"{service.origin}/basis")
        page.evaluate("document.querySelector('h1').style.color = 'rgb(128, 128, 128)'")
        page.evaluate("document.querySelector('h1').style.backgroundColor = 'rgb(120, 120, 120)'")
        page.evaluate("document.documentElement.removeAttribute('lang')")
        found = {one["id"] for one in Axe().run(page).response["violations"]}
    assert found == {"color-contrast", "html-has-lang"}


@pytest.mark.parametrize("name", ["", "basis", "basis/IRON03", "basis/nothing", "knowledge/"])
def test_the_policy_lets_the_style_pass_and_nothing_else(
    browser: "Browser", service: Service, name: str
) -> None:
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    refused: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: refused.append(message.text))
    page.goto(f"{service.origin}/{name}")
    assert asked == [f"{service.origin}/{name}"]
    # The missing page itself is told on the console; a refused style or script would be another line.
    assert [text for text in refused if "404" not in text] == []
    assert page.evaluate("getComputedStyle(document.body).maxWidth") != "none"
    with pytest.raises(Exception, match="Content Security Policy"):
        page.add_script_tag(content="document.title = 'changed'")
    context.close()


def test_every_page_is_reached_by_the_keyboard_and_the_link_of_a_card(
    browser: "Browser", service: Service
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{service.origin}/basis")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.url.endswith("#content")
    page.get_by_role("link", name="IRON-03", exact=True).click()
    assert page.url == f"{service.origin}/basis/IRON03"
    assert page.get_by_role("heading", level=1).inner_text() == "IRON-03: Low ferritin"
    page.get_by_role("navigation").get_by_role("link", name="All cards").click()
    assert page.url == f"{service.origin}/basis"
    context.close()


def test_a_page_prints_black_on_white_with_its_addresses(browser: "Browser", service: Service) -> None:
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(f"{service.origin}/basis/IRON03")
    page.emulate_media(media="print")
    colours = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert colours == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
    assert not page.get_by_role("navigation").is_visible()
    shown = "getComputedStyle(document.querySelector('main dd a'), '::after').content"
    assert "https://doi.org/" in page.evaluate(shown)
    context.close()
