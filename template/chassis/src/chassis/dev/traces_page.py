"""The page of recent traces: who called whom in which process, and when."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from string import Template

from chassis.dev.spans import ReceivedSpan

SECOND = 1_000_000_000
REQUEST = "chassis.request_id"
# Shown of a span besides its name.
DETAILS = {
    "db.query.text": "{}",
    "http.response.status_code": "{}",
    "chassis.job.attempt": "attempt {}",
    "chassis.job.outcome": "{}",
    "error.type": "{}",
}

PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="2">
<title>Traces</title>
<style>
  body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #1b1f24 }
  h1 { font-size: 1.3rem }
  h2 { font-size: 1rem; margin: 1.5rem 0 .25rem }
  h2 small, td small { color: #667; font-weight: normal }
  table { border-collapse: collapse; table-layout: fixed; width: 100% }
  td { border-top: 1px solid #e4e7eb; padding: .15rem .4rem }
  td { overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
  td:nth-child(1) { width: 45% } td:nth-child(2) { width: 5rem } td:nth-child(3) { width: 6rem; text-align: right }
  i { background: #4c82c3; border-radius: 2px; display: block; height: .7rem; min-width: 2px }
  .worker i { background: #3d9970 } .failed i { background: #d1495b } .failed b { color: #d1495b }
</style>
<h1>Recent traces</h1>
$traces
</html>
""")
EMPTY = "<p>Send a request to the API: it is shown here, with its statements and jobs.</p>"
ROW = Template("""<tr class="$classes" title="$title">
<td style="padding-left: ${indent}rem"><b>$name</b> <small>$details</small></td>
<td>$process</td><td>$milliseconds ms</td><td><i style="margin-left: $left%; width: $width%"></i></td></tr>""")


def render(traces: Iterable[Sequence[ReceivedSpan]]) -> str:
    """Render the traces; what they contain is escaped."""
    return PAGE.substitute(traces="".join(map(_trace, traces)) or EMPTY)


def _trace(spans: Sequence[ReceivedSpan]) -> str:
    start, end = min(span.started for span in spans), max(span.ended for span in spans)
    time = datetime.fromtimestamp(start / SECOND, UTC).astimezone().strftime("%H:%M:%S")
    ids = [
        f"trace {spans[0].trace_id}",
        *(f"request {span.attributes[REQUEST]}" for span in spans if REQUEST in span.attributes),
    ]
    rows = "".join(_row(span, depth, start, end - start) for span, depth in in_order(spans))
    return f"<h2>{time} <small>{escape(' · '.join(ids))}</small></h2>\n<table>{rows}</table>"


def in_order(spans: Sequence[ReceivedSpan]) -> Iterator[tuple[ReceivedSpan, int]]:
    """Give each span after its parent, with its depth; one whose parent has not arrived comes as a root."""
    known = {span.span_id for span in spans}
    children: dict[str, list[ReceivedSpan]] = {}
    for span in sorted(spans, key=lambda span: span.started):
        children.setdefault(span.parent_id if span.parent_id in known else "", []).append(span)

    def below(parent: str, depth: int) -> Iterator[tuple[ReceivedSpan, int]]:
        for span in children.get(parent, ()):
            yield span, depth
            yield from below(span.span_id, depth + 1)

    return below("", 0)


def _row(span: ReceivedSpan, depth: int, start: int, length: int) -> str:
    process = str(span.resource.get("chassis.process", ""))
    share = 100 / max(1, length)
    return ROW.substitute(
        classes=f"{escape(process)}{' failed' if span.is_failed else ''}",
        title=escape("\n".join(f"{name}: {value}" for name, value in span.attributes.items())),
        indent=0.4 + depth * 1.2,
        name=escape(span.name),
        details=escape(_details(span)),
        process=escape(process),
        milliseconds=f"{(span.ended - span.started) / 1_000_000:.1f}",
        left=f"{(span.started - start) * share:.2f}",
        width=f"{(span.ended - span.started) * share:.2f}",
    )


def _details(span: ReceivedSpan) -> str:
    found = {name: value for name, value in span.attributes.items() if value != span.name}
    return " ".join(form.format(found[name]) for name, form in DETAILS.items() if name in found)
