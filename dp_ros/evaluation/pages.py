# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Self-contained HTML pages from the templates in this directory, which share one look."""

from pathlib import Path

import jinja2


def render_page(template: str, **values: object) -> str:
    """A page as text; what is put in is escaped, and a name that the template misses is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(**values)
