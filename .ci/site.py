"""The documentation as a static site: the pages of docs/ and README as HTML, and the API reference from docstrings.

    make docs
    python .ci/site.py site

pdoc makes the reference; markdown2 and pygments, which pdoc brings, make the pages.
"""

import html
import importlib
import re
import shutil
import sys
from pathlib import Path

import markdown2
import pdoc
import pygments.formatters

ROOT = Path(__file__).resolve().parents[1]
# In reading order.
PAGES = (
    *("quickstart", "export", "quantization", "distillation", "evaluation", "models"),
    *("boards", "snapdragon", "jetson", "intel", "devices", "accelerators", "benchmarking"),
    *("sources", "outputs", "streaming", "tracking", "skip-frame", "scale-out", "preview"),
    *("sdk", "examples", "troubleshooting", "architecture"),
)
OTHERS = ("CHANGELOG.md", "CONTRIBUTING.md")
MODULES = (
    *("edge", "edge.synth", "edge.evaluation.coco", "edge.nms.overlap"),
    *(
        "export",
        "quantize",
        "devices.detect",
        "devices.machine",
        "devices.report",
        "devices.telemetry",
    ),
    *(
        "runtimes.spec",
        "runtimes.codec_spec",
        "runtimes.base",
        "runtimes.errors",
        "runtimes.registry",
    ),
)
EXTRAS = ["fenced-code-blocks", "tables", "header-ids", "code-friendly", "cuddled-lists"]
STYLE = """
body { font: 16px/1.55 system-ui, sans-serif; margin: 0; display: flex; color: #1b1f24; }
nav { flex: 0 0 200px; padding: 24px; border-right: 1px solid #d8dee4; min-height: 100vh; }
nav a { display: block; padding: 3px 0; color: #0b5cad; text-decoration: none; }
nav a.here { font-weight: 600; color: #1b1f24; }
main { flex: 1; min-width: 0; max-width: 900px; padding: 12px 40px 60px; }
main a { color: #0b5cad; } img { max-width: 100%; }
pre { background: #f6f8fa; padding: 12px; overflow-x: auto; border-radius: 6px; }
code { font: 13.5px/1.45 ui-monospace, monospace; } :not(pre) > code { background: #f0f2f4; padding: 1px 4px; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
td, th { border: 1px solid #d8dee4; padding: 4px 9px; text-align: left; vertical-align: top; }
@media (max-width: 800px) { body { display: block; } nav { min-height: 0; } main { padding: 12px 20px; } }
"""


def main() -> None:
    """Write the site into the folder that is named; an earlier site there is replaced."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "site")
    if out.exists() and not (out / "api").is_dir():
        raise SystemExit(f"{out} exists and is no site; name another folder")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for picture in (ROOT / "docs").glob("*.jpg"):
        shutil.copy(picture, out)
    for folder in ("docker", "measured"):
        shutil.copytree(ROOT / "docs" / folder, out / folder)
    highlight = pygments.formatters.HtmlFormatter(style="friendly").get_style_defs(".codehilite")
    (out / "style.css").write_text(STYLE + highlight)
    write_page(out, "index", ROOT / "README.md")
    for name in PAGES:
        write_page(out, name, ROOT / "docs" / f"{name}.md")
    for name in OTHERS:
        write_page(out, name.removesuffix(".md").lower(), ROOT / name)
    shutil.copytree(
        ROOT / "examples", out / "examples", ignore=shutil.ignore_patterns("__pycache__")
    )
    write_reference(out / "api")
    print(f"wrote {out / 'index.html'}")


def write_page(out: Path, name: str, source: Path) -> None:
    """Write one page, with links to the others."""
    body = str(markdown2.markdown(without_words(source.read_text()), extras=EXTRAS))
    body = re.sub(
        r'(href|src)="([^":]+)"', lambda found: f'{found[1]}="{site_link(found[2])}"', body
    )
    titles = {
        "index": "edgepose",
        **{each: each.capitalize() for each in PAGES},
        "sdk": "Python SDK",
        "api/index": "API reference",
    }
    menu = "".join(
        f'<a href="{each}.html"{" class=here" if each == name else ""}>{title}</a>'
        for each, title in titles.items()
    )
    title = html.escape(titles.get(name, name.capitalize()))
    (out / f"{name}.html").write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{title}</title><link rel="stylesheet" href="style.css">'
        f"<nav>{menu}</nav><main>{body}</main></html>"
    )


def without_words(text: str) -> str:
    """Leave only the language of fenced blocks: the words after it are for the test of the pages."""
    return re.sub(r"^```(\w+) [^\n]*$", r"```\1", text, flags=re.MULTILINE)


def site_link(target: str) -> str:
    """Return where a relative link of the repository leads on the site."""
    path, mark, anchor = target.partition("#")
    name = Path(path).name
    if path.endswith(".md") and name.removesuffix(".md") in PAGES:
        path = name.removesuffix(".md") + ".html"
    elif path.endswith(".jpg"):
        path = name
    elif name in OTHERS:
        path = name.removesuffix(".md").lower() + ".html"
    elif path:
        path = path.removeprefix("../")  # examples/, which are copied
    return path + mark + anchor


def write_reference(out: Path) -> None:
    """Write the API reference; names that a package loads when they are used are loaded first."""
    sys.path.insert(0, str(ROOT))
    for name in MODULES:
        module = importlib.import_module(name)
        for each in getattr(module, "__all__", ()):
            vars(module)[each] = getattr(module, each)
    pdoc.render.configure(docformat="google", footer_text="edgepose")
    pdoc.pdoc(*MODULES, output_directory=out)


if __name__ == "__main__":
    main()
