"""The report as one HTML file that opens anywhere, without a network. Every text in it is escaped: names may be a stranger's."""

from collections.abc import Sequence
from html import escape

from signet.serving.releases.gate.report import HEADINGS, NOTE, REFUSED, Report

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5b6675; --line: #d9dee5; --page: #fff; --box: #f5f7f9;
  --good: #18794e; --bad: #c0332b; --look: #8a6d00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa5b4; --line: #343c48; --page: #14181e;
  --box: #1c222a; --good: #4cc38a; --bad: #ff7b72; --look: #d9b83f; } }
body { margin: 0 auto; padding: 24px; max-width: 1100px; background: var(--page); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 24px; margin: 0 0 4px; overflow-wrap: anywhere; } h2 { font-size: 18px; margin: 28px 0 8px; }
.soft { color: var(--soft); }
ul { list-style: none; margin: 16px 0; padding: 0; }
li { padding: 8px 12px; margin: 6px 0; background: var(--box); border-left: 4px solid var(--line); border-radius: 4px;
  overflow-wrap: anywhere; }
.refused { border-color: var(--bad); } .warning { border-color: var(--look); } .passed { border-color: var(--good); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 14px 5px 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; color: var(--soft); }
td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 8em; max-width: 26em; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
.facts td { text-align: left; white-space: normal; } .facts td:first-child { color: var(--soft); }
.level { color: var(--soft); }
@media (max-width: 600px) { body { padding: 16px; } h1 { font-size: 20px; } }
"""


def page(report: Report) -> str:
    """The whole page."""
    parts = [f"<h1>{escape(report.heading)}</h1>", _findings(report)]
    if report.outputs:
        parts += [
            "<h2>Outputs</h2>",
            '<p class="soft">Both versions asked the same rows, like those that callers send. Difference: the mean of '
            "|candidate − stable|, by the mean distance of the stable version's answers from their average.</p>",
            _table(HEADINGS, report.rows),
        ]
    facts = "".join(f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text in report.facts)
    parts += ["<h2>How it was checked</h2>", f'<table class="facts"><tbody>{facts}</tbody></table>']
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(report.heading)}</title><style>{_STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )


def _findings(report: Report) -> str:
    items = [
        f'<li class="{finding.level if finding.level in (REFUSED, "warning") else NOTE}">'
        f'<span class="level">{escape(finding.level)}</span> <b>{escape(finding.check)}</b> {escape(finding.text)}</li>'
        for finding in report.findings
    ]
    if report.passed:
        items.insert(0, '<li class="passed">Nothing speaks against it.</li>')
    return f"<ul>{''.join(items)}</ul>"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
