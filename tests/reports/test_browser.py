"""The report in a real Chromium: nothing is requested, nothing is logged, axe finds nothing, nothing overflows."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fairwitness.audit.evidence import Evidence
from fairwitness.reports.html import render

CHROMIUM = Path("/usr/bin/chromium")
if not CHROMIUM.exists():
    pytest.skip(f"{CHROMIUM} is not here", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory, evidences: Callable[..., Evidence]) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("reports")
    hostile = '<script>alert(1)</script>"><img src=x onerror=alert(1)>\u202e\u200b\x00' + "x" * 10_000
    base = evidences()
    data = base.subject.data.model_copy(update={"groups": {hostile: {hostile: 3, "b": 4}}, "columns": (hostile,)})
    checks = tuple(
        check.model_copy(
            update={
                "measurements": tuple(
                    m.model_copy(update={"group": m.group and m.group + hostile}) for m in check.measurements
                )
            }
        )
        for check in base.checks
    )
    kinds = {
        "usual": base,
        "hostile": evidences(
            subject=base.subject.model_copy(update={"data": data}),
            checks=checks,
            plan={"audit": {"name": hostile}, "model": {hostile: [hostile, {"a": hostile}]}},
        ),
        "bare": evidences(gates=(), verdict=None, checks=(), screening=(), concerns={}, interrupted=True),
    }
    for kind, evidence in kinds.items():
        (folder / f"{kind}.html").write_text(render(evidence), "utf-8")
    return {kind: (folder / f"{kind}.html").as_uri() for kind in kinds}


@pytest.mark.parametrize("kind", ["usual", "hostile", "bare"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_quiet_offline_and_accessible(browser: Any, reports: dict[str, str], kind: str, scheme: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("dialog", lambda dialog: heard.append(dialog.message))
    page.on("request", lambda request: heard.append(request.url))
    page.goto(reports[kind])
    assert heard == [reports[kind]]
    results = axe.Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    page.close()


@pytest.mark.parametrize("kind", ["usual", "hostile", "bare"])
@pytest.mark.parametrize("width", [1280, 390, 320])
def test_no_page_scrolls_sideways(browser: Any, reports: dict[str, str], kind: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(reports[kind])
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_the_skip_link_comes_first_and_is_seen(browser: Any, reports: dict[str, str]) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(reports["usual"])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
    page.close()


def test_nothing_is_cut_off_on_a4(browser: Any, reports: dict[str, str]) -> None:
    page = browser.new_page(viewport={"width": 673, "height": 900})  # the A4 text width in CSS pixels
    page.emulate_media(media="print")
    page.goto(reports["usual"])
    wide = page.evaluate(
        "[...document.querySelectorAll('table')].filter(t => t.getBoundingClientRect().right > 674).length"
    )
    assert wide == 0
    assert page.evaluate("document.querySelectorAll('details').length") == 0
    page.close()
