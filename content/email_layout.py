"""The one layout of every e-mail: its text and HTML parts, with sender, postal address and the way to opt out."""

from collections.abc import Mapping, Sequence

import jinja2

# Autoescape is on: whatever a value holds is shown, never obeyed. Styles are inline because mail programs drop others.
_HTML = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True).from_string(
    """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ subject }}</title></head>
<body style="margin:0;padding:0;background:#f4f5f7;color:#1f2933">
<div style="max-width:34em;margin:0 auto;padding:24px 16px;font:16px/1.5 Arial,Helvetica,sans-serif">
<div style="background:#ffffff;border-radius:8px;padding:24px;overflow-wrap:anywhere">
{% for lines in paragraphs %}
<p style="margin:0 0 16px">
{%- for line in lines %}{{ line | urlize }}{% if not loop.last %}<br>{% endif %}{% endfor -%}
</p>
{% endfor %}
</div>
<div style="padding:16px 24px 0;font-size:13px;color:#52606d;overflow-wrap:anywhere">
<p style="margin:0 0 8px">{{ organization }}, {{ postal_address }}</p>
<p style="margin:0">If you would rather not get e-mail from us,
<a href="{{ unsubscribe_link }}" style="color:#52606d">unsubscribe here</a>.</p>
</div>
</div>
</body>
</html>
"""
)


def lay_out(subject: str, paragraphs: Sequence[Sequence[str]], values: Mapping[str, str]) -> tuple[str, str]:
    """The text and the HTML part. `paragraphs` holds their lines; `values` those of the footer."""
    footer = (
        f"-- \n{values['organization']}, {values['postal_address']}\n"
        f"If you would rather not get e-mail from us, unsubscribe here: {values['unsubscribe_link']}"
    )
    text = "\n\n".join([*("\n".join(lines) for lines in paragraphs), footer]) + "\n"
    footing = {key: values[key] for key in ("organization", "postal_address", "unsubscribe_link")}
    return text, _HTML.render(subject=subject, paragraphs=paragraphs, **footing)
