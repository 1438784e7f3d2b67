"""docs/devices.md shows the profiles as they are."""

import runpy
from pathlib import Path

from devices.profiles.profile import load_profiles

ROOT = Path(__file__).resolve().parents[3]


def test_the_tables_of_the_page_are_those_of_the_profiles() -> None:
    page = (ROOT / "docs" / "devices.md").read_text()
    filled = runpy.run_path(str(ROOT / "benchmarks" / "devices_page.py"))["filled"]
    assert page == filled(page), "run: python benchmarks/devices_page.py docs/devices.md"
    assert all(f"`{each.id}`" in page for each in load_profiles().profiles)
