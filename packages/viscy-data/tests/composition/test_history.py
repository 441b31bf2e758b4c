"""What pools gave before any moment, against a walk through the epochs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sampling_cases import Case, cases

from viscy_data.composition.history import DrawHistory, Moments


@given(case=cases(), data=st.data())
def test_history_is_what_the_epochs_took_visit_by_visit(case: Case, data: st.DataObject) -> None:
    composer = case.sampler()._composer
    parts, schedule = composer.parts, composer.schedule
    epochs = data.draw(st.integers(1, 4))
    group = data.draw(st.sampled_from([g for g, share in enumerate(composer.shares.groups) if share]))
    halves = 1 if composer.shares.leaked is None else 2
    half, stratum = data.draw(st.integers(0, halves - 1)), data.draw(st.integers(0, parts.shape[1] - 1))
    pool = np.ravel_multi_index(np.array([[half], [stratum], [group]]), parts.shape)
    total, walked = 0, []
    for epoch in range(epochs):
        visits = schedule.visits(epoch, np.arange(schedule.batches))
        taken = parts.taken(visits).reshape(schedule.batches, halves, -1, parts.shape[1]).sum(axis=2)
        for number in np.flatnonzero(visits.group == group):
            one = visits[np.array([number])]
            now = Moments(one.full, one.partial, one.is_partial)
            walked.append((now, total))
            total += int(taken[number, half, stratum])
    history = DrawHistory(schedule, parts, epochs - 1, by_step=False)
    for now, expected in walked:
        assert history.drawn(pool, now).item() == expected
    if total:
        target = data.draw(st.integers(1, total))
        last = max((now.whole + now.short).item() for now, before in walked if before < target)
        found = history.last(pool, lambda now: history.drawn(pool, now) < target)
        assert (found.whole + found.short).item() == last
        assert found.is_short.item() == next(
            now.is_short.item() for now, _ in walked if (now.whole + now.short).item() == last
        )
