"""A set on one page: HTML that needs nothing beside it, neither script nor net."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

import numpy as np

from sosie.datasets import coverage
from sosie.datasets.contact_sheets import contact_sheet
from sosie.datasets.coverage import KINDS, LIGHTS, PITCHES, YAWS, Coverage
from sosie.datasets.report_data import PersonFindings, SetFindings
from sosie.output import atomic_output
from sosie.types import FloatArray

_SHEET_COLUMNS = 12
_DETAILED = 200
"""People who get a section of their own; the others have a line in the table."""

_SIZE_STEPS = (0, 64, 128, 192, 256, 384, 512, 768, 1024)
_SHARPNESS_STEPS = (0, 0.03, 0.05, 0.08, 0.11, 0.14, 0.18, 0.25)


def write_report(findings: SetFindings, path: Path) -> None:
    """Write the page, whole or not at all; an earlier one is replaced."""
    page = render(findings)
    with atomic_output(path, overwrite=True) as pending:
        pending.path.write_text(page, encoding="utf-8")


def render(findings: SetFindings) -> str:
    """The page."""
    name = findings.folder.resolve().name
    people = findings.people[:_DETAILED]
    sections = [_person(person, number) for number, person in enumerate(people)]
    if findings.unsorted:
        sections.append(_person(findings.unsorted, len(people)))
    return _PAGE.substitute(
        title=escape(f"Faces: {name}"),
        figures=_figures(findings),
        people=_people_table(findings),
        suggestions=_suggestions(findings),
        formula=escape(coverage.FORMULA),
        sections="\n".join(sections),
    )


def _figures(findings: SetFindings) -> str:
    doubles = sum(person.doubles for person in findings.people)
    low, high = min(findings.sizes), max(findings.sizes)
    sizes = f"{low} px" if low == high else f"{low} to {high} px"
    rejected = sum(findings.rejected.values())
    cells = [
        ("faces", f"{findings.faces:,}"),
        ("people", f"{len(findings.people):,}"),
        ("videos and photos", f"{findings.inputs:,}"),
        ("pictures of", sizes),
        ("put aside", f"{rejected:,}"),
        ("doubles", f"{doubles:,}"),
    ]
    if findings.unsorted:
        cells.append(("nobody's yet", f"{findings.unsorted.covered.faces:,}"))
    tiles = "".join(f"<div><b>{escape(v)}</b><span>{escape(k)}</span></div>" for k, v in cells)
    notes = []
    if findings.rejected:
        reasons = (f"{reason} {number:,}" for reason, number in findings.rejected.items())
        notes.append(f"Put aside: {', '.join(reasons)}.")
    if set(findings.splits) - {""}:
        parts = (f"{part or 'neither'} {number:,}" for part, number in findings.splits.items())
        notes.append(f"Split: {', '.join(parts)}.")
    return f'<div class="tiles">{tiles}</div>' + "".join(f"<p>{escape(n)}</p>" for n in notes)


def _people_table(findings: SetFindings) -> str:
    lines = [
        "<tr>"
        + _cell(_link(person.name, number) if number < _DETAILED else escape(person.name))
        + _cell(f"{person.covered.faces:,}", "n")
        + _cell(f"{person.inputs:,}", "n")
        + _cell(f"{np.median(person.face_px):.0f}", "n")
        + _cell(f"{np.median(person.sharpness):.3f}", "n")
        + _cell(f"{person.doubles:,}", "n")
        + _cell(_bar(person.covered.completeness), "bar")
        + _cell(escape(person.wishes[0].text if person.wishes else "complete"))
        + "</tr>"
        for number, person in enumerate(findings.people)
    ]
    if not lines:
        return "<p>No people yet: run <code>sosie dataset cluster</code>.</p>"
    heads = ("person", "faces", "inputs", "face px", "sharpness", "doubles", "completeness")
    head = "".join(f"<th>{text}</th>" for text in (*heads, "to record next"))
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def _suggestions(findings: SetFindings) -> str:
    if not findings.suggestions:
        return ""
    items = "".join(
        f"<li>{escape(one)} and {escape(other)}, similarity {similarity:.2f}</li>"
        for one, other, similarity in findings.suggestions
    )
    return (
        "<h2>Perhaps one person</h2><p>Look at both; to join them, move the pictures of one "
        f"folder into the other.</p><ul>{items}</ul>"
    )


def _person(person: PersonFindings, number: int) -> str:
    covered = person.covered
    sheet, width, height = contact_sheet(person.pictures, _SHEET_COLUMNS)
    wishes = "".join(
        f"<li>{escape(wish.text)}"
        + (f" ({wish.missing} more)" if wish.missing else "")
        + f" <i>+{wish.gain:.1f}</i></li>"
        for wish in person.wishes
    )
    parts = ", ".join(f"{name} {100 * value:.0f} %" for name, value in covered.parts.items())
    count = f"{covered.faces:,} face{'' if covered.faces == 1 else 's'}"
    return _SECTION.substitute(
        anchor=f"p{number}",
        name=escape(person.name or "Nobody's yet"),
        count=count,
        completeness=f"{covered.completeness:.0f}",
        parts=escape(parts),
        sheet=sheet,
        width=width,
        height=height,
        poses=_poses(covered),
        cells=_cells(covered),
        wishes=f"<ol>{wishes}</ol>" if wishes else "<p>Nothing is missing.</p>",
        sizes=_bars(person.face_px, _SIZE_STEPS, "0f"),
        sharpness=_bars(person.sharpness, _SHARPNESS_STEPS, "2f"),
    )


def _poses(covered: Coverage) -> str:
    head = "".join(f"<th>{text}</th>" for text in ("", *YAWS))
    lines = [
        f"<tr><th>{pitch}</th>{''.join(_heat(int(n)) for n in covered.poses[:, row])}</tr>"
        for row, pitch in enumerate(PITCHES)
    ]
    return f'<table class="heat"><tr>{head}</tr>{"".join(lines)}</table>'


def _cells(covered: Coverage) -> str:
    """Pose by expression and light: a line for each expression and light."""
    head = "".join(f"<th>{text}</th>" for text in ("expression", "light", *YAWS))
    lines = []
    for kind, title in enumerate(KINDS):
        for light, from_where in enumerate(LIGHTS):
            values = "".join(_heat(int(n)) for n in covered.cells[:, kind, light])
            first = f'<th rowspan="{len(LIGHTS)}">{title}</th>' if light == 0 else ""
            lines.append(f"<tr>{first}<th>{from_where}</th>{values}</tr>")
    return f'<table class="heat"><tr>{head}</tr>{"".join(lines)}</table>'


def _heat(number: int) -> str:
    """A cell whose color tells how far the number is from enough."""
    share = min(number / coverage.ENOUGH, 1)
    color = f"hsl(165 45% {97 - 47 * share:.0f}%)"
    ink = "#fff" if share > 0.6 else "#333"
    return f'<td style="background:{color};color:{ink}">{number or "·"}</td>'


def _bars(values: FloatArray, steps: Sequence[float], digits: str) -> str:
    """How the values are spread over the steps, as bars. The last has all above."""
    counts, _ = np.histogram(values, bins=[*steps, np.inf])
    most, width = max(int(counts.max()), 1), 34
    bars = []
    for number, (step, count) in enumerate(zip(steps, counts.tolist(), strict=True)):
        tall, x = 60 * count / most, number * width
        bars.append(
            f'<rect x="{x + 2}" y="{76 - tall:.1f}" width="{width - 4}" height="{tall:.1f}"/>'
            f'<text x="{x + width / 2}" y="{72 - tall:.1f}">{count or ""}</text>'
            f'<text x="{x}" y="90" class="step">{step:.{digits}}</text>'
        )
    return f'<svg viewBox="-8 0 {len(steps) * width + 16} 94">{"".join(bars)}</svg>'


def _bar(value: float) -> str:
    return f'<span style="width:{value:.0f}%"></span><em>{value:.0f}</em>'


def _link(name: str, number: int) -> str:
    return f'<a href="#p{number}">{escape(name)}</a>'


def _cell(content: str, kind: str = "") -> str:
    return f'<td class="{kind}">{content}</td>' if kind else f"<td>{content}</td>"


_SECTION = Template("""
<section id="$anchor">
<h2>$name <small>$count, completeness $completeness</small></h2>
<p class="parts">$parts</p>
<img src="$sheet" width="$width" height="$height" alt="Faces of $name">
<div class="columns">
<div><h3>Poses</h3>$poses<h3>To record next</h3>$wishes</div>
<div><h3>Pose by expression and light</h3>$cells</div>
<div><h3>Size of the face in its frame, px</h3>$sizes<h3>Sharpness (0.08 and more is sharp)</h3>
$sharpness</div>
</div>
</section>""")

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light; }
body { font: 14px/1.45 system-ui, sans-serif; color: #2b2b2e; background: #faf9f6; margin: 0 auto;
  max-width: 1120px; padding: 24px 20px 60px; }
h1 { font-size: 24px; } h2 { font-size: 19px; margin: 0 0 4px; }
h3 { font-size: 13px; margin: 14px 0 6px; }
small { font-weight: 400; color: #6d6b66; } .parts { margin: 0 0 10px; color: #6d6b66; }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; }
.tiles div { background: #fff; border: 1px solid #e4e1d9; border-radius: 8px; padding: 8px 16px; }
.tiles b { display: block; font-size: 20px; } .tiles span { color: #6d6b66; }
table { border-collapse: collapse; }
td, th { padding: 3px 10px; text-align: left; font-weight: 400; }
th { color: #6d6b66; font-size: 12px; } body > table { width: 100%; background: #fff; }
body > table td { border-top: 1px solid #ece9e2; }
.n, body > table th:nth-child(n+2):nth-child(-n+6) { text-align: right; }
.bar { min-width: 130px; position: relative; }
.bar span { display: inline-block; height: 10px; background: #3f9c83; border-radius: 3px;
  max-width: 75%; }
.bar em { font-style: normal; margin-left: 6px; }
section { background: #fff; border: 1px solid #e4e1d9; border-radius: 8px; padding: 16px;
  margin: 18px 0; }
section img { max-width: 100%; height: auto; border-radius: 4px; }
.columns { display: flex; flex-wrap: wrap; gap: 12px 28px; }
.columns > div { flex: 1 1 auto; max-width: 100%; overflow-x: auto; }
.columns > div:first-child, .columns > div:last-child { flex-basis: 270px; width: 270px; }
.heat td { text-align: center; min-width: 30px; padding: 2px 4px; border: 2px solid #fff; }
.heat th { padding: 2px 6px; white-space: nowrap; vertical-align: top; }
ol, ul { margin: 4px 0; padding-left: 20px; } i { color: #3f9c83; font-style: normal; }
svg { width: 100%; max-width: 330px; } rect { fill: #3f9c83; }
text { font-size: 10px; text-anchor: middle; fill: #6d6b66; }
@media print { section { break-inside: avoid; } }
</style></head><body>
<h1>$title</h1>
$figures
<h2 style="margin-top:22px">People</h2>
$people
<p><small>$formula</small></p>
$suggestions
$sections
</body></html>
""")
