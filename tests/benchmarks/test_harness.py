"""The benchmark harness without any peer: selection, the worker conversation, interleaving, ratios and the report."""

from __future__ import annotations

import json
import math
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.__main__ import main
from benchmarks.cases import STARTUP, catalogue
from benchmarks.emulator import VIRTIO_HEADER_BYTES, _parse
from benchmarks.measure import Options, Row, Table
from benchmarks.network import NETWORKS
from benchmarks.report import QUOTED, compare, geometric_mean, read_quoted, render
from benchmarks.tables import least_seconds, markdown, read, summary
from benchmarks.variants import SYSTEMS, Variant, VariantError, select
from hypothesis import given
from hypothesis import strategies as st

FAKE = [sys.executable, str(Path(__file__).with_name("fake_system.py"))]
CASES = catalogue(scale=0.001)


# ------------------------------------------------------------------------------------------------------ selection


def test_a_system_alone_means_all_of_its_variants() -> None:
    assert select("spu, crypten") == [*SYSTEMS["spu"], *SYSTEMS["crypten"]]


def test_a_protocol_narrows_and_repetition_does_not_double() -> None:
    assert select("spu:ABY3,spu:ABY3,tacit:Assisted:TLS") == [
        Variant("spu", "ABY3"),
        Variant("tacit", "Assisted", tls=True),
    ]


def test_dealt_beforehand_is_a_variant_with_a_worker_of_its_own() -> None:
    (offline,) = select("tacit:Assisted-offline")
    assert offline.offline
    assert offline.worker == "benchmarks.systems.tacit_offline"
    assert not any(v.offline for v in select("tacit:Assisted,tacit:Replicated,spu,crypten"))


@pytest.mark.parametrize("text", ["cheetah", "spu:CHEETAH", "spu:ABY3:TLS", ""])
def test_an_unknown_variant_names_what_there_is(text: str) -> None:
    with pytest.raises(VariantError, match="there are"):
        select(text)


@pytest.mark.parametrize("words", [["--cases", "nonsense"], ["--systems", "nonsense"]])
def test_the_command_refuses_unknown_names(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "nonsense" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------------- cases


@pytest.mark.parametrize("name", CASES)
def test_a_case_has_the_same_inputs_every_time_and_a_finite_reference(name: str) -> None:
    inputs = CASES[name].inputs()
    again = catalogue(scale=0.001)[name].inputs()
    assert all(one.dtype == np.float32 and np.array_equal(one, other) for one, other in zip(inputs, again, strict=True))
    assert all(np.isfinite(output).all() for output in CASES[name].reference(inputs))


def test_the_full_cases_have_the_published_sizes() -> None:
    sizes = {name: case.shape for name, case in catalogue().items()}
    assert sizes["mul"] == (1_000_000,)
    assert sizes["matmul1024"] == (1024, 1024, 1024)
    assert sizes["max_axis"] == (10_000, 100)
    assert sizes["softmax"] == (1000, 100)
    assert sizes["lr_breast_cancer"][-1] == "80 steps"
    assert sizes["mlp_train"][0] == 50 * 128
    assert sizes["lenet_b128"][0] == 128


def test_every_quoted_case_exists_and_every_case_is_quoted() -> None:
    assert set(read_quoted("loopback")) == {STARTUP, *catalogue()}
    assert read_quoted("wan") == {}
    assert json.loads(QUOTED.read_text())["source"]


# ---------------------------------------------------------------------------------------------------- measurement


@pytest.fixture
def measure(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(root))

    def run(names: list[str], *protocols: str, **options: float) -> list[Row]:
        commands = {Variant("tacit", protocol): FAKE for protocol in protocols or ("fake",)}
        return list(Table(commands, NETWORKS["loopback"], Options(**options), tmp_path).measure(CASES, names))

    return run


def test_a_row_has_the_median_of_the_measured_runs(measure) -> None:
    row, other = measure(["mul"], "fake", "other", runs=5)
    assert (row.protocol, other.protocol) == ("fake", "other")
    assert (row.seconds, row.seconds_min, row.seconds_max, row.runs) == (0.3, 0.1, 0.5, 5)
    assert (row.warm_up_seconds, row.bytes, row.busiest_bytes, row.rounds) == (0.5, 1000, 600, 1)
    assert (row.dealing_seconds, row.dealing_bytes) == (None, None)
    assert row.max_error == pytest.approx(0.125, abs=1e-6)
    assert json.loads(json.dumps(row.as_dict()))["network"] == "loopback"


def test_what_is_dealt_beforehand_is_dealt_anew_for_each_run_and_reported(measure) -> None:
    (row,) = measure(["mul"], "fake-offline", runs=2)
    assert row.dealing_seconds == pytest.approx(0.2)  # the median of three dealings: the warm-up's too
    assert row.dealing_bytes == 500
    assert row.seconds == pytest.approx(0.15)


def test_the_budget_ends_a_case_and_a_warm_up_beyond_it_is_the_only_run(measure) -> None:
    assert measure(["mul"], runs=5, budget=0.55)[0].runs == 3
    only = measure(["mul"], runs=5, budget=0.4)[0]
    assert (only.runs, only.seconds) == (1, only.warm_up_seconds)


def test_a_failure_is_a_result_and_the_next_case_runs(measure) -> None:
    rows = measure(["sort", "less", "relu", "mul"], runs=1)
    failures = [row.failure for row in rows]
    assert failures[0] == "unsupported: no sort here"
    assert "parties disagree" in failures[1]
    assert "died" in failures[2]
    assert failures[3] is None
    assert all(row.seconds is None and row.runs == 0 for row in rows if row.failure)


def test_a_silent_worker_is_ended(measure) -> None:
    assert "no answer to" in measure(["exp"], runs=1, timeout=3.0)[0].failure


def test_startup_starts_afresh_each_time(measure) -> None:
    (row,) = measure([STARTUP], runs=3)
    assert (row.case, row.seconds, row.runs) == (STARTUP, 0.25, 3)


# --------------------------------------------------------------------------------------------------------- report


def row(
    system: str, case: str, seconds: float | None, *, protocol: str = "p", tls: bool = False, dealt: int | None = None
) -> Row:
    return Row(
        system=system,
        protocol=protocol,
        case=case,
        shape=(1,),
        seconds=seconds,
        seconds_min=seconds,
        seconds_max=seconds,
        runs=5,
        warm_up_seconds=seconds,
        bytes=1000,
        wire_bytes=1100,
        busiest_bytes=600,
        rounds=2,
        max_error=1e-5,
        network="loopback",
        tls=tls,
        dealing_seconds=0.5 if dealt else None,
        dealing_bytes=dealt,
        failure=None if seconds else "no luck",
    )


ROWS = [
    row("tacit", "mul", 0.02, protocol="Assisted"),
    row("tacit", "mul", 0.04, protocol="Replicated"),
    row("tacit", "mul", 0.05, protocol="Assisted", tls=True),
    row("spu", "mul", 0.2),
    row("crypten", "mul", 0.1),
    row("tacit", "sort", 1.0),
    row("spu", "sort", 6.0),
    row("crypten", "sort", None),
    row("tacit", "exp", None),
    row("spu", "exp", 1.0),
]
RECORD = {"mul": {"spu p": 0.3, "mp-spdz ring": 0.08}, "sort": {"mp-spdz ring": 9.0}}


def test_the_best_of_ours_meets_the_best_of_theirs() -> None:
    mul, sort, exp = compare(ROWS, RECORD)
    assert (mul.ours.who, mul.measured.who, mul.recorded.who) == ("tacit Assisted", "crypten p", "mp-spdz ring")
    assert mul.ratio(mul.measured) == pytest.approx(5)
    assert mul.ratio(mul.best) == pytest.approx(4)
    assert mul.ratio(mul.best, tls=True) == pytest.approx(1.6)
    assert sort.ratio(sort.best) == pytest.approx(6)
    assert exp.ratio(exp.best) is None


def test_the_last_line_is_the_geometric_mean() -> None:
    last = render(ROWS, compare(ROWS, RECORD)).splitlines()[-1]
    assert last == "geometric mean: 4.90x against the best figure of any peer, 2 of 3 cases, lowest 4.00x"


def test_a_run_on_correlations_dealt_beforehand_stands_apart() -> None:
    rows = [*ROWS, row("tacit", "mul", 0.01, protocol="Assisted-offline", dealt=16)]
    mul, *_ = compare(rows, RECORD)
    assert (mul.ours.who, mul.ours_dealt.who) == ("tacit Assisted", "tacit Assisted-offline")
    assert mul.ratio(mul.best, dealt=True) == pytest.approx(8)
    *_, dealt, _, last = render(rows, compare(rows, RECORD)).splitlines()
    assert dealt.startswith("dealt beforehand, geometric mean: 8.00x")
    assert last.startswith("geometric mean: 4.90x")


def test_startup_does_not_count_in_the_mean() -> None:
    rows = [*ROWS, row("tacit", STARTUP, 1.0), row("spu", STARTUP, 100.0)]
    assert render(rows, compare(rows, RECORD)).splitlines()[-1].startswith("geometric mean: 4.90x")


def test_without_tacit_the_report_says_so() -> None:
    rows = [row("spu", "mul", 0.2)]
    assert render(rows, compare(rows, {})).splitlines()[-1].startswith("geometric mean: none")


def test_what_has_no_result_is_listed_with_the_reason() -> None:
    assert "sort, crypten p: no luck" in render(ROWS, compare(ROWS, RECORD))


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=20), st.floats(0.1, 10))
def test_the_geometric_mean_scales_and_lies_between(values: list[float], factor: float) -> None:
    mean = geometric_mean(values)
    assert min(values) * (1 - 1e-9) <= mean <= max(values) * (1 + 1e-9)
    assert math.isclose(geometric_mean([value * factor for value in values]), mean * factor, rel_tol=1e-9)


# ------------------------------------------------------------------------------------------------------- emulator


def packet(payload: int, segment: int, flags: int = 0x10) -> bytes:
    virtio = struct.pack("=BBHHHH", 1, 1 if segment else 0, 40 if segment else 0, segment, 20, 16)
    ip = bytes([0x45, 0]) + bytes(7) + bytes([6]) + bytes(10)
    tcp = struct.pack("!HHIIBB", 4000, 5000, 0, 0, 0x50, flags) + bytes(6)
    return virtio + ip + tcp + bytes(payload)


def test_a_burst_of_segments_is_charged_a_header_each() -> None:
    assert _parse(packet(100, segment=0)) == (140, (4000, 5000), False)
    assert _parse(packet(3000, segment=1460)) == (3000 + 3 * 40, (4000, 5000), False)


def test_handshakes_and_resets_are_told_apart_from_data() -> None:
    assert _parse(packet(0, segment=0, flags=0x02))[2]
    assert _parse(packet(0, segment=0, flags=0x14))[2]


def test_what_is_not_tcp_over_ipv4_has_no_route() -> None:
    version6 = bytearray(packet(0, segment=0))
    version6[VIRTIO_HEADER_BYTES] = 0x60
    assert _parse(bytes(version6))[1] is None


# --------------------------------------------------------------------------------------------------------- tables


def test_the_bound_is_the_busiest_line_or_the_chain_of_rounds_whichever_is_longer() -> None:
    wan = NETWORKS["wan"]
    wide = replace(row("tacit", "mul", 1.0, protocol="Assisted"), busiest_bytes=12_500_000, rounds=1)
    deep = replace(wide, busiest_bytes=1000, rounds=100)
    assert least_seconds(wide, wan) == pytest.approx(1.02)
    assert least_seconds(deep, wan) == pytest.approx(2.0)
    assert least_seconds(wide, NETWORKS["loopback"]) is None
    assert least_seconds(replace(wide, busiest_bytes=None), wan) is None
    assert least_seconds(replace(wide, protocol="Replicated"), wan) is None


def test_lines_of_two_runs_make_one_table(tmp_path: Path) -> None:
    dealt = row("tacit", "mul", 0.01, protocol="Assisted-offline", dealt=16_000_000)
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("".join(json.dumps(one.as_dict()) + "\n" for one in ROWS))
    second.write_text(json.dumps(dealt.as_dict()) + "\n" + json.dumps(row("spu", "mul", 0.05).as_dict()) + "\n")
    rows = read([first, second])
    assert len(rows) == len(ROWS) + 1
    head, _, mul, *_ = markdown(rows).splitlines()
    assert head.startswith("| case | Assisted | Replicated | p | Assisted-offline | dealt s, MB | bound | spu p |")
    assert mul == "| `mul` | 0.02 | 0.04 | - | 0.01 | 0.5, 16 | - | 0.05 | 0.1 | 2.5x | 5.0x |"
    assert summary(rows)[1] == "dealt beforehand: geometric mean 5.00x over 1 cases, lowest 5.00x, 1 at 5x or more"
