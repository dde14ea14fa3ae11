"""A page that holds all it needs: style, plots and pictures. It asks for nothing from elsewhere,
and has no script."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from sosie.evaluation.report.sheets import data_address

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1e23; --soft: #5b6470; --page: #ffffff;
  --panel: #f4f5f7; --line: #d9dde3; --accent: #1f66b0; --good: #1d7a4f; --bad: #b3372f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7e9ec; --soft: #a2abb6; --page: #14171b;
  --panel: #1e2228; --line: #353b44; --accent: #7ab4f2; --good: #62c996; --bad: #f08a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem clamp(.8rem, 3vw, 2.5rem) 4rem; max-width: 1280px;
  background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
  -webkit-text-size-adjust: 100%; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .6rem 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; padding-top: .6rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
a { color: var(--accent); }
p { max-width: 46rem; margin: .4rem 0; overflow-wrap: anywhere; }
.soft, figcaption, caption, small { color: var(--soft); font-size: .87rem; }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: .6rem 0; }
.scroll { overflow-x: auto; -webkit-overflow-scrolling: touch; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .32rem .55rem; border-bottom: 1px solid var(--line);
  vertical-align: top; }
thead th { font-size: .82rem; color: var(--soft); font-weight: 600; white-space: nowrap; }
th.group { background: var(--panel); font-size: .85rem; letter-spacing: .02em; }
tbody th { font-weight: 500; }
.tight { display: none; }
.n { text-align: right; white-space: nowrap; }
.held th:first-child { position: sticky; left: 0; background: var(--page); }
.held th.group:first-child { background: var(--panel); }
.better { color: var(--good); } .worse { color: var(--bad); } .best { font-weight: 700; }
.grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); }
.wide { grid-template-columns: repeat(auto-fill, minmax(min(100%, 480px), 1fr)); }
figure { margin: 0; min-width: 0; background: var(--panel); border-radius: 8px; padding: .6rem; }
figure svg { display: block; width: 100%; height: auto; }
.strips { display: grid; gap: .6rem; margin: .3rem 0 .9rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 250px), 1fr)); }
.strips.broad { grid-template-columns: repeat(auto-fill, minmax(min(100%, 480px), 1fr)); }
.strips figure { padding: .3rem; }
.strips img { display: block; width: 100%; height: auto; }
details { border: 1px solid var(--line); border-radius: 8px; padding: .1rem .8rem;
  margin: .5rem 0; }
details > *:last-child { margin-bottom: .7rem; }
summary { cursor: pointer; padding: .45rem 0; font-weight: 500; }
pre { background: var(--panel); border-radius: 8px; padding: .7rem; overflow-x: auto;
  font-size: .8rem; line-height: 1.4; }
dt { font-weight: 600; margin-top: .7rem; } dd { margin: 0; }
li { overflow-wrap: anywhere; }
@media (max-width: 640px) { body { font-size: 15px; } .roomy { display: none; }
  .tight { display: block; }
  th, td { padding: .3rem .35rem; } tbody th { overflow-wrap: anywhere; min-width: 7.5rem; } }
@media print { details { break-inside: avoid; } nav { display: none; } }
"""


class Page:
    """A page in the making: sections one after the other."""

    def __init__(self, title: str, subtitle: str) -> None:
        self._title = title
        self._subtitle = subtitle
        self._sections: list[tuple[str, str, str]] = []

    def add(self, name: str, heading: str, *parts: str) -> None:
        """A section. name: for links within the page. parts: HTML; without any there is none."""
        inner = "\n".join(part for part in parts if part)
        if inner:
            self._sections.append((name, heading, inner))

    def html(self, strips: Mapping[str, bytes] | None = None) -> str:
        """The whole document. strips: pictures that `strip` shows, by name."""
        links = " ".join(
            f'<a href="#{name}">{escape(head)}</a>' for name, head, _ in self._sections
        )
        body = "\n".join(
            f'<section id="{name}"><h2>{escape(heading)}</h2>\n{inner}\n</section>'
            for name, heading, inner in self._sections
        )
        return (
            "<!doctype html>\n"
            '<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(self._title)}</title><style>{_STYLE}</style></head>\n<body>\n"
            f"<h1>{escape(self._title)}</h1>\n"
            f'<p class="soft">{escape(self._subtitle)}</p>\n<nav>{links}</nav>\n'
            f"{body}\n{_shared(strips or {})}</body></html>\n"
        )


def text(content: str, soft: bool = False) -> str:
    """A paragraph."""
    return f'<p class="soft">{escape(content)}</p>' if soft else f"<p>{escape(content)}</p>"


def listed(items: Iterable[str]) -> str:
    """A list; nothing where there are no items."""
    inner = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f"<ul>{inner}</ul>" if inner else ""


def plot(svg: str, caption: str) -> str:
    """A plot with what it shows."""
    return (
        f'<figure role="img" aria-label="{escape(caption)}">{svg}'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def grid(parts: Iterable[str], wide: bool = False) -> str:
    """Plots side by side as far as there is room."""
    inner = "\n".join(parts)
    return f'<div class="{"grid wide" if wide else "grid"}">{inner}</div>' if inner else ""


def strip(name: str, size: tuple[int, int], caption: str) -> str:
    """A picture that the page holds once. size: width and height in pixels."""
    width, height = size
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(caption)}">'
        f'<use href="#{name}" width="{width}" height="{height}"/></svg>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def picture(content: bytes, caption: str) -> str:
    """A picture that is shown in one place."""
    return (
        f'<figure><img src="{data_address(content)}" alt="{escape(caption)}" loading="lazy">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def strips(parts: Iterable[str]) -> str:
    """Pictures side by side as far as there is room."""
    inner = "\n".join(parts)
    return f'<div class="strips">{inner}</div>' if inner else ""


def folded(summary: str, *parts: str, is_open: bool = False) -> str:
    """What is shown when its heading is pressed."""
    inner = "\n".join(parts)
    start = "<details open>" if is_open else "<details>"
    return f"{start}<summary>{escape(summary)}</summary>\n{inner}\n</details>"


def document(value: Any) -> str:
    """A JSON document."""
    return f"<pre>{escape(json.dumps(value, indent=1, ensure_ascii=False))}</pre>"


def table(heads: Sequence[str], rows: Iterable[str], held: bool = False) -> str:
    """A table that scrolls by itself where it is too wide. heads, rows: HTML of the cells.
    held: the first column stays in view."""
    inner = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return (
        f'<div class="{"scroll held" if held else "scroll"}"><table>'
        f"<thead><tr>{''.join(heads)}</tr></thead>\n"
        f"<tbody>{inner}</tbody></table></div>"
    )


def _shared(strips: Mapping[str, bytes]) -> str:
    """Pictures that parts of the page refer to by name."""
    if not strips:
        return ""
    symbols = "".join(
        f'<symbol id="{name}"><image width="100%" height="100%" '
        f'href="{data_address(content)}"/></symbol>'
        for name, content in strips.items()
    )
    return f'<svg width="0" height="0" style="position:absolute" aria-hidden="true">{symbols}</svg>'
