"""A session in good order: how it starts and ends, what it counts, what the ledgers say."""

from __future__ import annotations

import stat
import threading
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tacit
from tacit import Assisted, Session
from tacit.device.caller import user_line
from tacit.foundation.errors import ConfigError, LedgerError, SessionError
from tacit.foundation.ledger import verify

pytestmark = pytest.mark.multiprocess

X = np.array([1.5, -2.0, 3.0])
Y = np.array([0.5, 4.0, -1.0])


def test_the_example_of_the_front_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    text = (Path(__file__).parents[2] / "README.md").read_text()
    example = text.partition("```python\n")[2].partition("```")[0]
    exec(compile(example, "README.md", "exec"), {})  # noqa: S102  our own page
    assert float(capsys.readouterr().out.split()[0]) == pytest.approx(X @ Y, abs=2**-14)
    (folder,) = (tmp_path / "tacit" / "sessions").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (record,) = verify(folder / "bob.ledger.jsonl")
    assert record["because"] == "alice asked for the inner product"
    assert record["line"].startswith("README.md:")


def test_starting_and_ending(start: Callable[..., Session], capsys: Any) -> None:
    began = time.perf_counter()
    session = start()
    started = time.perf_counter()
    assert repr(session) == "Session(alice, bob, carol; TLS)"
    session.close()
    with capsys.disabled():
        print(f" [session started in {started - began:.2f} s, ended in {time.perf_counter() - started:.2f} s]", end="")  # noqa: T201
    session.close()
    assert repr(session) == "Session(alice, bob, carol; over)"
    with pytest.raises(SessionError, match=r"this session is over: it was closed. Start a new one"):
        session.plain("alice").put([1.0])


def test_two_parties_and_four_parties_and_plain_tcp(start: Callable[..., Session]) -> None:
    two = start("left", "right", danger_plain_tcp=True)
    assert repr(two) == "Session(left, right; plain TCP)"
    value = two.plain("left").put(X)
    np.testing.assert_array_equal(two.plain("left").get(value), X)
    with pytest.raises(ConfigError, match="the protocols here take three parties, not 2"):
        two.mpc()
    four = start("a", "b-2", "c_3", "d")
    x = four.mpc(parties=["d", "b-2", "a"]).share(four.plain("d").put(X))
    np.testing.assert_array_equal(tacit.reveal(x + 1, to="a", because="four"), X + 1)


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("alice",),
        ("alice", "alice", "bob"),
        ("alice", "", "bob"),
        ("a/b", "c", "d"),
        ("é", "b", "c"),
        ("a" * 65, "b"),
    ],
)
def test_unusable_names_are_refused(names: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"party name|at least two parties"):
        Session.local(*names, state=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_protocol_says_what_it_is(start: Callable[..., Session]) -> None:
    mpc = start().mpc(Assisted(fraction_bits=12))
    text = str(mpc)
    assert "semi-honest, at most one party corrupted" in text
    assert "12 fraction bits" in text
    assert text.endswith("Parties: alice, bob, carol")


def test_precision_and_rounding_are_those_of_the_device(start: Callable[..., Session]) -> None:
    session = start()
    coarse, exact = session.mpc(Assisted(fraction_bits=8)), session.mpc(Assisted(exact=True))
    x = session.plain("alice").put(np.array([1.01]))
    assert tacit.reveal(coarse.share(x), to="bob", because="8 bits")[0] == round(1.01 * 256) / 256
    square = exact.share(x) * exact.share(x)
    fixed = round(1.01 * 2**18)
    assert tacit.reveal(square, to="bob", because="floor")[0] == (fixed * fixed >> 18) / 2**18


def test_every_party_writes_down_every_reveal(start: Callable[..., Session]) -> None:
    session = start()
    mpc = session.mpc()
    x, n = mpc.share(session.plain("alice").put(X)), mpc.share(session.plain("bob").put([1, 2]))
    product = x * x
    tacit.reveal(product, to=["alice", "carol"], because="the product")
    line = user_line()
    digest = mpc.compile([x * x]).digest
    tacit.reveal({"n": n, "both": [n > 1]}, to="bob", because="counts")
    ledgers = [list(verify(session.ledger(party))) for party in session.parties]
    facts = [
        [{key: value for key, value in record.items() if key not in ("party", "time", "hash")} for record in ledger]
        for ledger in ledgers
    ]
    assert facts[0] == facts[1] == facts[2]
    first, both, counts = facts[0]
    name, number = line.split(":")
    assert first == {
        "number": 0,
        "kind": "reveal",
        "what": "fixed",
        "shape": [3],
        "to": ["alice", "carol"],
        "because": "the product",
        "line": f"{name}:{int(number) - 1}",
        "program": digest,
    }
    assert (both["what"], both["shape"], both["because"], both["to"]) == ("bool", [2], "counts", ["bob"])
    assert len(both["program"]) == len(digest)
    assert (counts["what"], counts["program"]) == ("int", "input of bob")
    text = session.ledger("alice").read_text()
    assert "2.25" not in text  # no value is in it

    heads = {facts["ledger_head"] for facts, _ in session.ask(session.parties, "profile", {}).values()}
    assert heads == {ledger[-1]["hash"] for ledger in ledgers}
    path = session.ledger("bob")
    path.write_text(text.replace("carol", "mallory"))
    with pytest.raises(LedgerError, match=r"bob.ledger.jsonl line 1: the hash does not fit"):
        list(verify(path))


def test_constants_and_restored_values_say_where_they_come_from(start: Callable[..., Session], tmp_path: Path) -> None:
    session = start()
    mpc = session.mpc()
    mpc.save({"x": mpc.share(session.plain("alice").put(X))}, tmp_path / "model")
    back = mpc.restore(["x"], tmp_path / "model")["x"]
    tacit.reveal([back, mpc.constant(X)], to="alice", because="origins")
    save, *reveals = verify(session.ledger("carol"))
    assert (save["kind"], save["what"], save["file"]) == ("save", ["x"], "carol.share")
    assert [record["program"] for record in reveals] == [f"restored from model {save['model']}", "public constant"]


class Cells(HTMLParser):
    """The texts of a page, and whether its tags are balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_profile_counts_by_operation_and_line(start: Callable[..., Session], tmp_path: Path) -> None:
    session = start()
    mpc = session.mpc()
    x, y = mpc.share(session.plain("alice").put(X)), mpc.share(session.plain("bob").put(Y))
    before = session.profile()
    product = x * y
    line = user_line().replace("test_session.py:", "")
    session.run(product, timing=True)
    after = session.profile()
    mine = {line.operation: line for line in after.lines}["mul"]
    assert mine.source == f"test_session.py:{int(line) - 1}"
    assert mine.messages == after.messages - before.messages
    assert mine.bytes == after.bytes - before.bytes == sum(facts["bytes"] for facts in mpc.last_run.values())
    assert mine.calls > 0
    assert mine.seconds > 0
    assert after.rounds - before.rounds == max(facts["rounds"] for facts in mpc.last_run.values()) == 1
    assert sum(after.bytes_by_party.values()) == after.bytes
    assert set(after.waited) == {"alice", "bob", "carol"}

    text = str(after)
    assert f"{after.rounds} rounds, {after.messages} messages" in text
    assert f"test_session.py:{int(line) - 1}" in text
    page = tmp_path / "profile.html"
    after.save_html(page)
    parser = Cells()
    parser.feed(page.read_text())
    assert any("mul" in cell for cell in parser.texts)
    assert mine.source in parser.texts
    assert "http" not in page.read_text().replace("http-equiv", "")  # self-contained


def test_threads_share_a_session(start: Callable[..., Session]) -> None:
    session = start()
    mpc = session.mpc()
    results: dict[int, Any] = {}

    def work(number: int) -> None:
        x = mpc.share(session.plain("alice").put(X + number))
        for _ in range(5):
            x = x + 1
            session.run(x)
        results[number] = tacit.reveal(x, to="bob", because=f"thread {number}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for number in range(4):
        np.testing.assert_array_equal(results[number], X + number + 5)


def test_two_sessions_live_side_by_side(start: Callable[..., Session]) -> None:
    one, two = start(), start()
    a = one.mpc().share(one.plain("alice").put(X))
    b = two.mpc().share(two.plain("alice").put(Y))
    np.testing.assert_array_equal(tacit.reveal(a + 1, to="alice", because="one"), X + 1)
    np.testing.assert_array_equal(tacit.reveal(b + 1, to="alice", because="two"), Y + 1)
    one.close()
    np.testing.assert_array_equal(tacit.reveal(b + 2, to="alice", because="two"), Y + 2)
    assert one.state != two.state


def test_large_values_travel(start: Callable[..., Session]) -> None:
    session = start()
    big = np.arange(1 << 20, dtype=np.float64)
    alice = session.plain("alice")
    value = alice.put(big)
    np.testing.assert_array_equal(alice.get(value), big)
    opened = tacit.reveal(session.mpc().share(value) + 1.0, to=["alice", "carol"], because="size")
    np.testing.assert_array_equal(opened, big + 1)
