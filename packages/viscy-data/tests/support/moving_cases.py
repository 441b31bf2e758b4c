"""Cases whose quotas move over training, and what the slow reference is asked for at a time."""

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st
from sampling_cases import Case, cases, quiet_sampler_of
from sampling_reference import Asked

from viscy_data.composition import Schedule
from viscy_data.composition.schedule import Unit
from viscy_data.sampling.sampler import FlexibleBatchSampler


@dataclass(frozen=True)
class Moving:
    """A case and the schedules that some of its quotas follow."""

    case: Case
    leak: Schedule | None
    outside: Schedule | None
    ratio: Schedule | None

    def sampler(self, **more: Any) -> FlexibleBatchSampler:
        plan = self.case.sampler().plan
        grouping, balance, focus = plan.grouping, plan.balance, plan.focus
        if grouping is not None and self.leak is not None:
            grouping = replace(grouping, leak=self.leak)
        if focus is not None and self.outside is not None:
            focus = replace(focus, global_fraction=self.outside)
        if balance is not None and self.ratio is not None:
            balance = replace(balance, ratio=self.ratio)
        plan = replace(plan, grouping=grouping, balance=balance, focus=focus)
        options = {"seed": self.case.seed, "drop_last": self.case.asked.drop_last}
        return quiet_sampler_of(self.case.table, plan, **(options | more))

    def asked(self, position: float) -> Asked:
        """What the reference shall be asked at a position in the schedules' unit."""
        asked = self.case.asked
        if asked.aware and self.leak is not None:
            asked = replace(asked, leaky=self.leak.at(position))
        if asked.focused and self.outside is not None:
            asked = replace(asked, outside=self.outside.at(position))
        if asked.balanced and self.ratio is not None:
            asked = replace(asked, ratio=self.ratio.at(position))
        return asked


@st.composite
def moving(draw: st.DrawFn, *, leaks: bool = True) -> tuple[Moving, Unit]:
    case = draw(cases(leaks=st.just(0.2) if leaks else st.just(0.0)))
    case = replace(case, asked=replace(case.asked, ratio=None))  # a leak finds any stratum elsewhere
    unit: Unit = draw(st.sampled_from(["epochs", "batches"]))
    end = draw(st.sampled_from([0.5, 1.7] if unit == "epochs" else [3, 40]))
    ends: dict[str, Any] = {"unit": unit, "shape": draw(st.sampled_from(["linear", "cosine"]))}
    able = case.asked.leaky > 0
    leak = Schedule({0: 0.0, end: 0.4}, **ends) if able and draw(st.booleans()) else None
    fractions = draw(st.sampled_from([(1.0, 0.3), (0.0, 1.0), (0.6, 0.1)]))
    outside = Schedule({0: fractions[0], end: fractions[1]}, **ends) if draw(st.booleans()) else None
    strata = sorted(set(case.table["condition"]))
    natural = {name: 1 + draw(st.integers(0, 9)) for name in strata}
    ratio = Schedule({0: natural, end: dict.fromkeys(strata, 1)}, **ends) if draw(st.booleans()) else None
    return Moving(case, leak, outside, ratio), unit
