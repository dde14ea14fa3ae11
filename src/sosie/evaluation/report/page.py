"""Pages from the templates beside this file. A page holds all it needs, asks for nothing from
elsewhere, and has no script; whatever a run's files hold is escaped in it."""

from __future__ import annotations

import json
from typing import Any

from sosie.evaluation.extras import extra_packages
from sosie.evaluation.report.run import ARROWS, interval, number
from sosie.evaluation.report.sheets import SIDE_PX, data_address


def render(template: str, **values: Any) -> str:
    """A page by one of the templates. Raises UnavailableError where Jinja is not installed."""
    with extra_packages():
        import jinja2
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sosie.evaluation.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals |= {"arrows": ARROWS, "side_px": SIDE_PX}
    environment.filters |= {
        "number": number,
        "interval": interval,
        "data_address": data_address,
        "json": lambda value: json.dumps(value, indent=1, ensure_ascii=False),
    }
    return environment.get_template(template).render(nav=[], **values)
