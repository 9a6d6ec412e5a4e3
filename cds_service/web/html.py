"""Pages for people: one inline style, no script, nothing from elsewhere, and a policy that says so."""

import base64
import hashlib

from flask import Response, render_template

STYLE = """
:root { color-scheme: light dark; --text: #1b1b1b; --back: #fff; --quiet: #545454; --line: #bdbdbd;
  --link: #0b4f9e; --note: #fdf1dc; --edge: #9a4d00; }
@media (prefers-color-scheme: dark) {
  :root { --text: #ededed; --back: #151515; --quiet: #bababa; --line: #565656; --link: #93c0ff;
    --note: #33260f; --edge: #f0b357; }
}
* { box-sizing: border-box; }
body { font: 1.05rem/1.6 system-ui, sans-serif; color: var(--text); background: var(--back);
  max-width: 52rem; margin: 0 auto; padding: 1rem; overflow-wrap: break-word; }
a { color: var(--link); }
a:focus-visible, [tabindex]:focus-visible { outline: .2rem solid var(--edge); outline-offset: .15rem; }
h1 { font-size: 1.6rem; line-height: 1.25; }
h2 { font-size: 1.25rem; line-height: 1.3; margin-top: 2.2rem; }
h3 { font-size: 1.05rem; margin-bottom: .3rem; }
code { font-size: .95em; overflow-wrap: anywhere; }
dt { font-weight: 600; }
dd { margin: 0 0 .6rem; }
li { margin-bottom: .3rem; }
nav ul { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; }
.skip { position: absolute; left: -100vw; }
.skip:focus { position: static; }
.use, .review { border-inline-start: .3rem solid var(--edge); background: var(--note); padding: .1rem 1rem; }
.awaits { background: var(--note); border: 1px solid var(--edge); border-radius: .2rem; padding: 0 .3rem;
  box-decoration-break: clone; -webkit-box-decoration-break: clone; }
.quiet { color: var(--quiet); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .95rem; }
caption { text-align: start; color: var(--quiet); padding-bottom: .3rem; }
th, td { border-bottom: 1px solid var(--line); padding: .4rem .6rem .4rem 0; text-align: start;
  vertical-align: top; }
.day { white-space: nowrap; }
.wide { min-width: 13rem; }
@media screen and (max-width: 44rem) {
  table, caption, tbody, tr, th, td { display: block; }
  thead { position: absolute; left: -100vw; }
  tr { border-bottom: 1px solid var(--line); padding: .5rem 0; }
  th, td { border: 0; padding: .1rem 0; }
  td::before { content: attr(data-label) ": "; color: var(--quiet); }
}
footer { border-top: 1px solid var(--line); margin-top: 3rem; padding-top: .5rem; }
@media print {
  :root { --text: #000; --back: #fff; --quiet: #333; --line: #888; --link: #000; --note: #fff; --edge: #000; }
  body { max-width: none; font-size: 10pt; }
  nav, .skip { display: none; }
  .scroll { overflow: visible; }
  tr, li, dd { break-inside: avoid; }
  main a[href^="https:"]::after { content: " (" attr(href) ")"; overflow-wrap: anywhere; }
}
"""


def _hash(style: str) -> str:
    """Return the CSP source that allows exactly this inline style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}"


POLICY = "; ".join(
    [
        "default-src 'none'",
        f"style-src '{_hash(STYLE)}'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ],
)


def page(template: str, status: int = 200, /, **values: object) -> Response:
    """Return a template as an HTML page under the policy; values are escaped."""
    return html_response(render_template(template, style=STYLE, **values), status)


def html_response(text: str, status: int = 200) -> Response:
    """Return ready HTML under the policy."""
    response = Response(text, status=status, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
