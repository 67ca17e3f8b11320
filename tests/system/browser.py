"""A real browser without a window: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import BrowserContext, sync_playwright

PACKAGE = "chromium-headless-shell"


def _program() -> str:
    """Return the browser; it is installed where it is missing."""
    if not shutil.which(PACKAGE):
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        for words in (["update"], ["install", "-y", "--no-install-recommends", PACKAGE]):
            subprocess.run([*sudo, "apt-get", "-qq", *words], check=True, stdout=subprocess.DEVNULL)
    return str(shutil.which(PACKAGE))


@contextmanager
def browser() -> Iterator[tuple[BrowserContext, list[str]]]:
    """Yield a browser, and the addresses that its pages ask for: all, whoever they belong to."""
    asked: list[str] = []
    with sync_playwright() as playwright:
        # Its own sandbox needs user namespaces, which not every computer of tests has; pages here are ours.
        chromium = playwright.chromium.launch(executable_path=_program(), args=["--no-sandbox"])
        context = chromium.new_context(accept_downloads=True)
        context.on("request", lambda request: asked.append(request.url))
        context.set_default_timeout(60_000)
        yield context, asked
        chromium.close()
