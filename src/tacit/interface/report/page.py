"""A job's report as one self-contained page: no script, nothing loaded from anywhere."""

from __future__ import annotations

import html
from pathlib import Path

from tacit.foundation.files import write_private
from tacit.interface.report.plot import epoch_plot, phase_plot, roc_plot
from tacit.interface.report.record import Report
from tacit.interface.report.terminal import describe_reveal
from tacit.schedule.report import size


def save_page(report: Report, path: Path) -> None:
    """Write the page, readable by its user only."""
    write_private(path, render(report).encode())


def render(report: Report) -> str:
    """The page's HTML."""
    body = [
        f"<header><h1>{_text(report.title)}</h1><p>{_text(_summary(report))}</p></header>",
        f'<div class="figures">{_figures(report)}</div>',
        '<div class="two">',
        f"<section><h2>On the test records</h2>{_roc(report)}</section>",
        f"<section><h2>Who brought what</h2>{_parties(report)}<h2>Assumed about them</h2><pre>{_text(report.protocol)}</pre></section>",
        "</div>",
        f"<section><h2>Who learnt what</h2><p>{_text(_about_reveals(report))}</p>{_reveals(report)}</section>",
        f"<section><h2>Cost by phase</h2>{phase_plot(report.phases)}{_phases(report)}</section>",
        f"<section><h2>Training</h2><p>{_text(_training(report))}</p>{epoch_plot(report.epochs)}</section>",
        f"<section><h2>Ledgers</h2>{_ledgers(report)}</section>",
        f"<footer>Tacit {_text(report.version)}. Rounds are those of the longest party; bytes are payload, without TLS and TCP.</footer>",
    ]
    head = f"<meta charset=utf-8><meta name=viewport content='width=device-width'><title>{_text(report.title)}</title>"
    return (
        f"<!doctype html>\n<html lang=en><head>{head}<style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _summary(report: Report) -> str:
    owners = [party for party in report.parties if party.role == "data"]
    brought = " and ".join(f"{party.name} ({party.rows} records)" for party in owners)
    return (
        f"{brought} have {report.common} records in common. They trained one model on {report.features} columns that neither "
        "showed to the other. The model stays split between them."
    )


def _figures(report: Report) -> str:
    shown = [
        ("AUC, secure", f"{report.auc_secure:.4f}" if report.auc_secure is not None else "not revealed"),
        ("AUC, pooled plaintext", f"{report.plain.auc:.4f}" if report.plain else "not computed"),
        ("seconds", f"{report.seconds:.1f}"),
        ("rounds", f"{report.rounds:,}"),
        ("sent by all", size(report.bytes)),
        ("epochs", str(len(report.epochs))),
    ]
    return "".join(f"<div><b>{_text(value)}</b><span>{_text(name)}</span></div>" for name, value in shown)


def _roc(report: Report) -> str:
    curves = [("secure", "secure", report.secure)] if report.secure else []
    curves += [("pooled plaintext", "plain", report.plain)] if report.plain else []
    if not curves:
        return "<p>No scores were revealed, so nobody can draw a ROC curve.</p>"
    accuracy = f" At a threshold of one half, {report.accuracy:.1%} are right." if report.accuracy is not None else ""
    said = f"{report.test} records that training did not see. Only the owner of the labels can draw the secure curve.{accuracy}"
    plain = " The plaintext curve pools both tables, which a real deployment could not." if report.plain else ""
    return roc_plot(curves) + f"<p>{_text(said + plain)}</p>"


def _parties(report: Report) -> str:
    rows = []
    for party in report.parties:
        if party.role == "helper":
            rows.append(f"<tr><td>{_text(party.name)}<td colspan=4>deals randomness, has no data")
            continue
        label = " and the label" if party.has_label else ""
        dropped = f" ({party.dropped} left out)" if party.dropped else ""
        rows.append(
            f"<tr><td>{_text(party.name)}<td>{_text(party.file)}<td class=n>{party.rows}{dropped}"
            f"<td class=n>{party.columns}{label}<td class=n>{size(report.bytes_by_party.get(party.name, 0))}"
        )
    return f"<table><tr><th>party<th>file<th class=n>records<th class=n>columns<th class=n>sent{''.join(rows)}</table>"


def _about_reveals(report: Report) -> str:
    said = "From the parties' ledgers, which were verified. Column names and numbers of records are public."
    if report.plain:
        said += " The comparison in the clear stands outside of this: it pooled both tables on this machine."
    return said


def _reveals(report: Report) -> str:
    rows = "".join(
        f"<tr><td>{_text(', '.join(reveal.to))}<td>{_text(describe_reveal(reveal))}<td>{_text(reveal.because)}"
        f"<td>{_text(', '.join(reveal.ledgers))}"
        for reveal in report.reveals
    )
    return f"<table><tr><th>who<th>what<th>why<th>written down by{rows}</table>"


def _phases(report: Report) -> str:
    rows = "".join(
        f"<tr><td>{_text(phase.name)}<td class=n>{phase.seconds:.2f}<td class=n>{phase.rounds:,}<td class=n>{phase.messages:,}"
        f"<td class=n>{size(phase.bytes)}<td>{_text(phase.note)}"
        for phase in report.phases
    )
    return f"<table><tr><th>phase<th class=n>seconds<th class=n>rounds<th class=n>messages<th class=n>bytes<th>{rows}</table>"


def _training(report: Report) -> str:
    if any(not epoch.goes_on for epoch in report.epochs):
        end = f"After epoch {report.epochs[-1].number} the parties learnt that neither deviance nor AUC improves any more."
    else:
        end = "Training went on to the last epoch."
    return (
        "Loss, weights and scores are never opened during training, so no loss curve exists. What is public about an epoch is how "
        f"long it took, and one bit: whether training goes on. {end}"
    )


def _ledgers(report: Report) -> str:
    rows = "".join(
        f"<tr><td>{_text(ledger.party)}<td class=n>{ledger.records}<td><code>{_text(ledger.head)}</code>"
        for ledger in report.ledgers
    )
    hint = "<p>Keep the last hashes: a ledger that was cut short no longer ends with its own.</p>"
    return f"<table><tr><th>party<th class=n>records<th>last hash{rows}</table>{hint}"


def _text(value: str) -> str:
    return html.escape(value)


STYLE = """
:root{--ink:#1d2530;--soft:#5d6b7c;--line:#e1e6ec;--paper:#fff;--ground:#f5f7f9;--one:#1f6feb;--two:#d9822b;--good:#2e9e6b}
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf1;--soft:#97a5b6;--line:#2b343f;--paper:#171d24;--ground:#0f1419}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground);margin:0 auto;padding:2rem 1.2rem;max-width:68rem}
h1{font-size:1.6rem;margin:0}h2{font-size:1.05rem;margin:.2rem 0 .8rem}header p{color:var(--soft);max-width:48rem}
section,.figures{background:var(--paper);border:1px solid var(--line);border-radius:8px;padding:1.1rem 1.3rem;margin:0 0 1rem}
section{overflow-x:auto}section h2:not(:first-child){margin-top:1.4rem}
.figures{display:flex;flex-wrap:wrap;gap:1rem 2.6rem}.figures b{display:block;font-size:1.35rem}.figures span,footer{color:var(--soft)}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(22rem,1fr));gap:0 1rem}.two section:first-child svg{max-width:24rem}
table{border-collapse:collapse;width:100%;font-size:14px}td,th{text-align:left;padding:.35rem .8rem .35rem 0;border-bottom:1px solid var(--line)}
td{vertical-align:top}td:first-child{white-space:nowrap}th{color:var(--soft);font-weight:500}.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
pre{white-space:pre-wrap;font-size:13px;color:var(--soft);margin:0}code{font-size:12px;word-break:break-all}footer{font-size:13px}
svg{width:100%;max-width:44rem;display:block;margin-bottom:.8rem}svg text{font-size:12px;fill:var(--soft)}svg .head{font-weight:600}
.frame{fill:none;stroke:var(--soft)}.grid{stroke:var(--line)}.guess{stroke:var(--soft);stroke-dasharray:3 4}.none{opacity:.6}
polyline,line.secure,line.plain{fill:none;stroke-width:2.2}.secure{stroke:var(--one)}.plain{stroke:var(--two);stroke-dasharray:6 4}
.time{fill:var(--one)}.data{fill:var(--two)}.on{fill:var(--good)}.stop{fill:var(--two)}
"""
