"""The page in a real browser: it sorts, filters, fits a phone, and runs nothing of others."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from archsmith.report.page import render
from moments import PATIENCE

from .studies import study

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

PROBE = """
<script>
const out = {};
const shown = () => [...document.querySelectorAll("#trials tbody")].filter((b) => !b.hidden);
const column = (i) => shown().map((b) => b.rows[0].cells[i].textContent.trim());
const heads = document.querySelectorAll("#trials thead button");
heads[2].click();
out.up = column(2);
heads[2].click();
out.down = column(2);
heads[0].click();
out.numbers = column(0);
const type = (text) => {
  const box = document.getElementById("filter");
  box.value = text;
  box.dispatchEvent(new Event("input"));
};
type("nan EPOCH");
out.failed = column(1);
type("no such thing");
out.none = shown().length;
out.said = document.getElementById("empty").hidden;
type("");
const state = document.getElementById("state");
state.value = "pruned";
state.dispatchEvent(new Event("change"));
out.pruned = column(1);
out.injected = window.injected ?? null;
document.querySelector("#t0 input").checked = true;
out.opened = getComputedStyle(document.querySelector("#t0 .more")).display;
const dot = document.querySelector('.for-narrow [data-n="7"]');
dot.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
out.tip = document.getElementById("tip").textContent;
out.overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
out.width = innerWidth;
parent.document.title = JSON.stringify(out);
</script></body>
"""


def opened(page: str, folder: Path, width: int) -> str:
    """The title after loading the page in a frame of this width."""
    quoted = json.dumps(page).replace("</", "<\\/")
    outer = (
        f"<body><iframe style='border:0;width:{width}px;height:900px'></iframe><script>"
        f"document.querySelector('iframe').srcdoc = {quoted};</script></body>"
    )
    path = folder / "outer.html"
    path.write_text(outer, "utf-8")
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-sync --disable-quic"
    flags += " --disable-background-networking --disable-component-update --dump-dom"
    command = [str(CHROMIUM), *flags.split(), f"--user-data-dir={folder / 'profile'}"]
    command += ["--virtual-time-budget=8000", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    found = re.search(r"<title>(.*?)</title>", done.stdout, re.S)
    return found[1] if found else ""


@pytest.mark.slow
def test_sorting_filtering_and_a_phone(tmp_path: Path) -> None:
    page = render(study(40))
    probed = re.sub(r"script-src '[^']*'", "script-src 'unsafe-inline'", page)
    title = opened(probed.replace("</body>", PROBE), tmp_path, 390)
    out = json.loads(title)
    up = [float(v) for v in out["up"] if v != "—"]
    assert up == sorted(up)
    assert len(up) == 34
    assert out["up"][-1] == out["down"][-1] == "—"
    down = [float(v) for v in out["down"] if v != "—"]
    assert down == sorted(down, reverse=True)
    assert out["numbers"] == [str(n) for n in range(40)]
    assert out["failed"] == ["failed"] * 3
    assert (out["none"], out["said"]) == (0, False)
    assert out["pruned"] == ["pruned"] * 3
    assert out["opened"] == "table-row"
    assert out["tip"].startswith("Trial 7")
    assert (out["width"], out["overflow"]) == (390, 0)


@pytest.mark.slow
def test_the_policy_stops_a_script_that_got_in(tmp_path: Path) -> None:
    page = render(replace(study(5), title="a study"))
    alien = "<script>parent.document.title = 'ran'</script></body>"
    assert opened(page.replace("</body>", alien), tmp_path, 800) != "ran"
    free = re.sub(r"script-src '[^']*'", "script-src 'unsafe-inline'", page)
    # The same script does run without the policy, so the first half of the test means something.
    assert opened(free.replace("</body>", alien), tmp_path, 800) == "ran"
