"""An engineer opens a lead in the Temporal Web UI, decoded by our codec server, in a real browser."""

import asyncio
import json
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import async_playwright, expect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: install Debian's chromium")


@pytest_asyncio.fixture(loop_scope="session")
async def stack(tmp_path: Path) -> AsyncIterator[dict[str, Any]]:
    directory = tmp_path / "tend"
    line = [sys.executable, "-m", "cli", "up", "--data-dir", str(directory), "--port", "0"]
    line += ["--clock", "2026-03-03T15:00:00Z", "--pace", "2"]
    child = await asyncio.create_subprocess_exec(*line, stdout=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(90):
            while not (directory / "endpoints.json").exists():
                assert child.returncode is None, "tend up ended"
                await asyncio.sleep(0.1)
        endpoints: dict[str, Any] = json.loads((directory / "endpoints.json").read_text())
        yield endpoints | {"key": (directory / "admin.key").read_text().strip()}
    finally:
        child.send_signal(signal.SIGTERM)
        await child.wait()


async def test_the_ui_tells_where_a_lead_stands(stack: dict[str, Any]) -> None:
    async with httpx.AsyncClient(
        base_url=stack["api"], headers={"Authorization": f"Bearer {stack['key']}"}, trust_env=False
    ) as client:
        body = {"first_name": "Ada", "phone": "+12125550101", "source": {"channel": "web_form"}, "postal_code": "10001"}
        lead = (await client.post("/v1/leads", json=body)).json()["lead_id"]
    async with async_playwright() as p:
        browser = await p.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = await browser.new_page()
        await page.goto(f"{stack['temporal_ui']}/namespaces/default/workflows/lead%2F{lead}")
        # summaries of activities and timers, and the input: sealed in the server, opened for the reader
        await expect(page.get_by_text("confirm: sms").first).to_be_visible(timeout=30_000)
        await expect(page.get_by_text("next: call1").first).to_be_visible(timeout=30_000)
        await expect(page.get_by_text(f'"{lead}"').first).to_be_visible(timeout=30_000)
        await page.get_by_text("User Metadata").click()
        details = page.locator("iframe").nth(1).content_frame  # the UI frames what a workflow says of itself
        await expect(details.get_by_text("sequence s07").first).to_be_visible(timeout=30_000)
        await page.get_by_text("Search Attributes").first.click()
        for name in ("TendState", "TendSequence", "TendStep", "TendPaused", "TendNextAt"):
            await expect(page.get_by_text(name).first).to_be_visible(timeout=30_000)
        await browser.close()
