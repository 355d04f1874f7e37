"""Which evidence counts for which days, whatever was fetched when and for whom."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from adelt_sources.landing import Kept
from adelt_sources.replay import choose

BASE = date(2026, 1, 1)


def kept(number, first, last, accounts=(1,), status="loaded"):
    begin, end = BASE + timedelta(days=first), BASE + timedelta(days=last)
    return Kept(
        f"m{number}", "s", "t", f"run-{number}", begin, end + timedelta(days=1), {}, f"2026-01-{number + 1:02d}",
        tuple(accounts), begin, end, (), status,
    )  # fmt: skip


def day(number):
    return BASE + timedelta(days=number)


def test_overlapping_windows_replace_only_what_newer_ones_do_not():
    steps = choose([kept(0, 0, 2), kept(1, 1, 3), kept(2, 2, 4)], day(0), day(4))
    assert [(s.first, s.last) for s in steps] == [(day(0), day(0)), (day(1), day(1)), (day(2), day(4))]


def test_days_that_were_not_asked_for_stay_out():
    (step,) = choose([kept(0, 0, 9)], day(3), day(5))
    assert (step.first, step.last) == (day(3), day(5))


def test_another_account_is_not_covered():
    old, new = choose([kept(0, 0, 2, (1, 2)), kept(1, 0, 2, (1,))], day(0), day(2))
    assert (old.accounts, new.accounts) == ((2,), (1,))


def test_refused_evidence_is_left_out_unless_it_is_named():
    found = [kept(0, 0, 2), kept(1, 0, 2, status="refused")]
    assert [step.is_left_out for step in choose(found, day(0), day(2))] == [False, True]
    assert [step.is_left_out for step in choose(found, day(0), day(2), also_refused=True)] == [True, False]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 12), st.integers(0, 6), st.sets(st.integers(1, 3), min_size=1), st.booleans()
        ),
        max_size=8,
    ),
    st.integers(0, 12),
    st.integers(0, 6),
)
def test_loading_the_steps_in_order_leaves_the_newest_evidence_everywhere(runs, start, length):
    found = [
        kept(n, first, first + days, sorted(accounts), "loaded" if good else "refused")
        for n, (first, days, accounts, good) in enumerate(runs)
    ]
    first, last = day(start), day(start + length)
    warehouse = {}
    for step in choose(found, first, last):
        if step.is_left_out:
            continue
        assert first <= step.first <= step.last <= last
        for account in step.accounts:
            for n in range((step.last - step.first).days + 1):
                warehouse[account, step.first + timedelta(days=n)] = step.kept.run_id
    newest = {}
    for one in found:
        if one.status == "loaded":
            for account in one.accounts:
                for n in range((one.last - one.first).days + 1):
                    at = one.first + timedelta(days=n)
                    if first <= at <= last:
                        newest[account, at] = one.run_id
    assert warehouse == newest
