# ruff: noqa: E501 - one mutant a line
"""Break the sampler once in each of many plausible ways, and see the tests notice.

Each mutant replaces one text of a copy of `viscy_data` in a temporary folder and runs the tests that
should fail. Run ``uv run python scripts/mutate_sampler.py [NAME ...]``; it exits 1 where a mutant lives.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "packages/viscy-data/src/viscy_data"
TESTS = "packages/viscy-data/tests/"


class Mutant(NamedTuple):
    """One way to break a file: ``old`` becomes ``new``; ``tests`` narrows what is run."""

    name: str
    file: str
    old: str
    new: str
    tests: str


C = "composition/"
MUTANTS = [
    Mutant("seed + epoch as the seed", C + "epochs.py", "keyed.words(self.seed, Purpose.GROUP_ORDER, epoch)", "keyed.words(self.seed + epoch, Purpose.GROUP_ORDER)", "composition/test_epochs.py"),
    Mutant("focal time forgets the epoch", C + "focal_clock.py", "Purpose.FOCAL_TIME, epoch, step", "Purpose.FOCAL_TIME, step", "composition/test_draw.py"),
    Mutant("a draw keyed by its block", C + "draw.py", "epoch, turn, cell)", "epoch, batch, cell)", "composition/test_draw.py"),
    Mutant("groups take turns, whatever their sizes", C + "epochs.py", "group = np.repeat(np.arange(counts.shape[1], dtype=np.int32), counts[0])", "group = (np.arange(self.full) % counts.shape[1]).astype(np.int32)", "composition/test_epochs.py"),
    Mutant("weights ignored", C + "shares.py", "            plan.weights,", "            None,", "composition/test_shares.py"),
    Mutant("visits not carried over epochs", C + "epochs.py", "self._mixture.before([epoch, epoch + 1])", "self._mixture.before([0, 1])", "composition/test_epochs.py"),
    Mutant("what rounding leaves over goes to the last", C + "quota.py", "places = np.arange(period) * _coprime(period) % period", "places = np.arange(period) * 0", "composition/test_quota.py"),
    Mutant("parts balanced apart from the whole", C + "parts.py", "[own, leaked], [[0, 1]])", "[own, leaked], [])", "sampling/test_sampler.py::test_every_batch_of_every_epoch_keeps_the_contract"),
    Mutant("strata unbalanced", C + "weights.py", "number * (count > 0) for number, count", "number * count for number, count", "composition/test_shares.py"),
    Mutant("window a tolerance short", C + "plan.py", "CLOCK_TOLERANCE: Final = 1e-4", "CLOCK_TOLERANCE: Final = -1e-4", "sampling/test_sampler_axes.py::test_the_window_includes_its_edges_within_a_tenth_of_a_millihour"),
    Mutant("window a frame too wide", C + "focal_clock.py", "progress, batches) + CLOCK_TOLERANCE", "progress, batches) + 0.5", "sampling/test_sampler_axes.py::test_the_window_includes_its_edges_within_a_tenth_of_a_millihour"),
    Mutant("no rule of swaps", C + "focal.py", "inside = np.minimum(np.maximum(inside, rest - (size - window)), np.minimum(rest, window))", "inside = np.minimum(inside, rest)", "composition/test_focal.py"),
    Mutant("global side from anywhere", C + "focal.py", "around = (self.end - self.start)[request] - window", "around = (self.end - self.start)[request]", "composition/test_focal.py"),
    Mutant("a small cell filled with one anchor", C + "focal.py", "(number - rest[request]) % size[request]", "0", "composition/test_focal.py"),
    Mutant("focal times by anchors, not by distinct times", C + "layout.py", "parts.append(runs[np.unique(run_time[runs], return_index=True)[1]])", "parts.append(runs)", "composition/test_layout.py"),
    Mutant("leak from the own group too", C + "layout.py", "self.size.sum(axis=1, keepdims=True) - self.size]", "(self.size.sum(axis=1, keepdims=True) > self.size) * self.size.sum(axis=1, keepdims=True)]", "sampling/test_sampler_axes.py::test_leaks_come_in_proportion_to_whole_cells_whatever_the_weights"),
    Mutant("leak breaks the balance", C + "shares.py", "share * h for share, h in zip(shares, held, strict=True)", "Fraction(int(n)) for n in pool", "composition/test_shares.py"),
    Mutant("leak of a whole batch", C + "parts.py", "min(round(size * plan.leak), size - 1)", "round(size * plan.leak)", "composition/test_draw.py"),
    Mutant("coverage restarts every epoch", C + "pools.py", "first = self._merged(self._parts.drawn(visits), halves)", "first = self._merged(self._parts.drawn(visits), halves) * 0", "sampling/test_sampler.py::test_every_batch_of_every_epoch_keeps_the_contract"),
    Mutant("pass ends forgotten", C + "endless.py", "is_new = ~np.isin(head * span + member, before * span + tail)", "is_new = np.ones(head.size, dtype=bool)", "composition/test_endless.py"),
    Mutant("a crossing visit holds what it held", C + "tight.py", "is_new = ~held[first[request] + orders]", "is_new = np.ones_like(held)", "composition/test_tight.py"),
    Mutant("chains of passes are cut", C + "tight.py", "before.rest * reaches, before.width * reaches", "before.rest * 0, before.width * 0", "composition/test_tight.py"),
    Mutant("a pass does not know its visit", C + "tight.py", "crosses = (start < target) & (target < end)", "crosses = np.zeros_like(start, dtype=bool)", "composition/test_tight.py"),
    Mutant("left-outs drawn as draws", C + "tight.py", "np.where(taken, 1, -1)[request]", "np.ones_like(request)", "composition/test_tight.py"),
    Mutant("history searched in a wrong epoch", C + "history.py", "low, high = np.zeros_like(highest), highest", "low, high = np.zeros_like(highest), highest // 2", "composition/test_history.py"),
    Mutant("who is a visit behind comes last", C + "tight.py", "np.where(behind < 0, behind + 2 * size[owner], behind), in_pass", "np.where(behind < 0, behind + 2 * size[owner], behind), -in_pass", "sampling/test_sampler_steps.py"),
    Mutant("batches of a step at times of their own", C + "draw.py", "time = self.clock.times(epoch, visits.step, visits.group)[batch]", "time = self.clock.times(epoch, number, visits.group)[batch]", "sampling/test_sampler_steps.py"),
    Mutant("batches of a step draw the same slots", C + "draw.py", "before = np.where(split, 0, wanted.before)", "before = wanted.before * 0", "sampling/test_sampler_steps.py"),
    Mutant("leaks of a step unknown to each other", C + "draw.py", "members = self.schedule.members(number)\n        visits", "members = number\n        visits", "sampling/test_sampler_steps.py"),
    Mutant("conflicts stay", C + "distinct.py", "        place[waiting[admitted]] = redrawn[admitted]\n", "", "sampling/test_sampler_distinct.py"),
    Mutant("conflicts redrawn from the other side", C + "distinct.py", "inside = (place[waiting] >= origin.low)", "inside = (place[waiting] < origin.low)", "sampling/test_sampler_distinct.py"),
    Mutant("nothing but random redraws", C + "distinct.py", "found = _searched(origin[np.arange(waiting.size) == nth], bool(inside[nth]), int(unit[slot]), held)", "found = None", "sampling/test_sampler_distinct.py"),
    Mutant("hours between anchors of a value ignored", C + "distinct.py", "< self.values.min_hours", "< 0", "sampling/test_sampler_distinct.py"),
    Mutant("conflicts in batches of a step unseen", C + "draw.py", "if self.plan.span > 1 else np.arange(number.size)", "if self.plan.span < 1 else np.arange(number.size)", "sampling/test_sampler_distinct.py"),
    Mutant("windows with few values pass", C + "enough.py", "hours[1:] - hours[:-1] > 2 * reach", "hours[1:] - hours[:-1] > reach", "composition/test_enough.py"),
    Mutant("a visit takes slots side by side", C + "rounds.py", "column[request] + number * visits[request]", "column[request] * count[request] + number", "composition/test_rounds.py"),
    Mutant("what a round leaves out does not go round", C + "rounds.py", "(before[line] + nth) % classes.slots[cell]", "nth % classes.slots[cell]", "composition/test_rounds.py"),
    Mutant("rounds of one order", C + "rounds.py", "Purpose.ROUND, cell, turn)", "Purpose.ROUND, cell, turn * 0)", "composition/test_rounds.py"),
    Mutant("longer rounds than values allow", C + "value_classes.py", "return int(np.minimum(size, visits).sum()) >= drawn", "return int(size.sum()) >= drawn", "composition/test_rounds.py"),
    Mutant("one permutation for all passes", C + "endless.py", "Purpose.PASS, pool, turn)", "Purpose.PASS, pool)", "composition/test_endless.py"),
    Mutant("drop_last ignored", C + "draw.py", "self.sizes = [size] if drop_last or not remainder else [size, remainder]", "self.sizes = [size, remainder] if remainder else [size]", "composition/test_draw.py"),
    Mutant("the last batch is full", C + "draw.py", "[size] if drop_last or not remainder else [size, remainder]", "[size] if drop_last or not remainder else [size, size]", "sampling/test_sampler.py::test_with_no_axis_an_epoch_holds_each_anchor_at_most_once"),
    Mutant("ranks yield differently many", C + "shard.py", "if self.even else left", "if not self.even else left", "composition/test_shard.py"),
    Mutant("ranks cut the epoch into blocks", C + "shard.py", "range(position + self.rank, end, self.replicas)", "range(position + self.rank * ((end - position) // self.replicas), position + (self.rank + 1) * ((end - position) // self.replicas))", "composition/test_shard.py"),
    Mutant("a rank builds every batch", "sampling/sampler.py", "for batch in self._batches(place.epoch, numbers[block : block + BLOCK]):", "every = numbers[block : block + BLOCK]\n            for batch in [b for b in self._batches(place.epoch, range(every[0], every[-1] + 1)) if b.number in every]:", "sampling/test_sampler.py::test_a_rank_builds_only_its_own_batches"),
    Mutant("rounding batches of other groups", C + "epochs.py", "cycle, place = np.divmod(numbers, self.batches)", "cycle, place = np.divmod(numbers * 2 % (3 * self.batches), self.batches)", "composition/test_epochs.py"),
    Mutant("setting an epoch drops the position", "sampling/sampler.py", "if epoch != self._next.epoch:", "if True:", "sampling/test_sampler_state.py::test_setting_the_same_epoch_keeps_a_restored_position_and_another_drops_it"),
    Mutant("iter() takes an epoch", "sampling/sampler.py", "    def __iter__(self) -> Iterator[list[int]]:\n", "    def __iter__(self) -> Iterator[list[int]]:\n        self._next = Place(self._next.epoch + 1, 0)\n        return self._iterate()\n\n    def _iterate(self) -> Iterator[list[int]]:\n", "sampling/test_sampler_state.py::test_an_epoch_that_is_left_early_is_over_for_the_next_iterator"),
    Mutant("state without the plan", "sampling/sampler.py", '"plan": plan_text(self.plan),', '"plan": "",', "sampling/test_sampler_refusals.py"),
    Mutant("state without the table", "sampling/sampler.py", '"table": table_fingerprint(self._composer.layout),', '"table": "",', "sampling/test_sampler_refusals.py composition/test_fingerprint.py"),
    Mutant("state one batch behind", "sampling/sampler.py", "                place.number += shard.replicas\n                yield batch", "                yield batch\n                place.number += shard.replicas", "sampling/test_sampler_state.py::test_a_state_while_iterating_names_what_comes_next"),
    Mutant("state counts a rank's own batches", "sampling/sampler.py", "place.number += shard.replicas", "place.number += 1", "sampling/test_sampler_state.py::test_a_state_goes_on_with_any_number_of_ranks"),
    Mutant("labels in order of appearance", "sampling/labels.py", "order = sorted(range(len(values)), key=lambda i: _sort_key(values[i]))", "order = list(range(len(values)))", "sampling/test_labels.py"),
    Mutant("what was drawn counts as consumed", "sampling/state.py", "number = self.begun + consumed * shard.replicas", "number = self.number", "sampling/test_batch_iterator.py::test_more_than_was_drawn_cannot_be_consumed sampling/test_batch_iterator.py::test_what_was_consumed_decides_on_4_ranks_then_1_then_6"),
    Mutant("a finished iterator begins another epoch", "sampling/batch_iterator.py", 'Place(state["epoch"], state["position"]) if state else None', "None", "sampling/test_batch_iterator.py::test_a_stateful_loader_goes_on_at_any_batch_and_between_epochs"),
    Mutant("dealt out twice without a word", "sampling/batch_iterator.py", "replicas > 1:", "replicas > 99:", "sampling/test_batch_iterator.py::test_accelerate_may_not_deal_out_batches_that_are_dealt_out_already"),
    Mutant("going on composes what was before", "sampling/sampler.py", "numbers = shard.numbers(place.number, self.batches_per_epoch)", "self._batches(place.epoch, range(place.number))\n        numbers = shard.numbers(place.number, self.batches_per_epoch)", "sampling/test_batch_iterator.py::test_resuming_composes_no_batch_before_the_position"),
    Mutant("positions are labels of the index", "sampling/sampler.py", "flat = rows.tolist()", "flat = [int(row) % 7 for row in rows]", "sampling/test_sampler.py::test_with_no_axis_an_epoch_holds_each_anchor_at_most_once"),
    Mutant("misspelt names accepted", C + "weights.py", "if unknown or missing:", "if missing:", "composition/test_shares.py"),
    Mutant("a bool is a batch size", C + "plan_checks.py", "isinstance(value, bool) or not isinstance(value, Integral)", "not isinstance(value, Integral)", "composition/test_plan.py"),
    Mutant("small cells without a warning", C + "draw.py", "        self._feasible.warn_small_cells(self._pools.size, self._pools.visit)\n", "", "composition/test_draw.py"),
    Mutant("the batch loses its key", C + "batch.py", "return _index_batch, (list(self), self.epoch, self.number)", "return _index_batch, (list(self), 0, 0)", "composition/test_draw.py"),
    Mutant("a permutation that is none", C + "keyed.py", "while outside.size:", "while False:", "composition/test_keyed.py"),
    Mutant("too few rounds for small domains", C + "keyed.py", "_TINY: Final = 64", "_TINY: Final = 1", "composition/test_keyed.py"),
    Mutant("focal times by distinct times whatever is asked", C + "focal_clock.py", 'self.plan.window.times == "anchors"', 'self.plan.window.times == ""', "sampling/test_sampler_focus.py::test_focal_times_are_even_over_distinct_times_or_over_anchors"),
    Mutant("anchor times of one stratum only", C + "layout.py", "stratum = (end <= number).sum(axis=0)", "stratum = 0 * number; number = number % end[0]", "sampling/test_sampler_focus.py::test_focal_times_are_even_over_distinct_times_or_over_anchors"),
    Mutant("every kernel is a box", C + "draw.py", 'self.plan.window.kernel == "gaussian"', 'self.plan.window.kernel == ""', "sampling/test_sampler_focus.py::test_a_gaussian_has_its_standard_deviation"),
    Mutant("a Gaussian of the wrong width", C + "kernel.py", "np.exp(-0.5 * far * far)", "np.exp(-far * far)", "composition/test_kernel.py"),
    Mutant("a Gaussian with edges of its ranges", C + "kernel.py", "counts = luck.ravel() * _HIGHEST[layer.ravel()] < weight", "counts = luck.ravel() < 2", "composition/test_kernel.py"),
    Mutant("a clock is heard twice", C + "kernel.py", "first = are_first(request * len(self.layout) + place)", "first = np.arange(request.size)", "composition/test_kernel.py"),
    Mutant("a race is over too early", C + "kernel.py", "settled = known >= wanted", "settled = np.bincount(request, minlength=tried.size) >= wanted", "composition/test_kernel.py"),
    Mutant("the even part from what is taken too", C + "kernel.py", "return request, start[request] + drawn + skipped", "return request, start[request] + drawn", "composition/test_kernel.py"),
    Mutant("weights by level are a product", C + "weights.py", "whole = sum(parts.values())", "whole = Fraction(1)", "composition/test_weights.py"),
    Mutant("levels in the order of the mapping", C + "weights.py", "_split(share, paths, level, levels.get(column), anchors)", "_split(share, [path[::-1] for path in paths], level, levels.get(labels.names[-1 - level]), anchors)", "composition/test_weights.py"),
    Mutant("only the first level's problems are listed", C + "weights.py", "problems += _problems(", "problems = problems or _problems(", "composition/test_weights.py"),
    Mutant("a window that stands still", C + "focal_clock.py", "numbers_at(self.plan.window.window_hours, progress, batches)", "numbers_at(self.plan.window.window_hours, 0 * progress, batches)", "sampling/test_sampler_schedule.py"),
    Mutant("steps start again in every epoch", C + "epochs.py", "progress: Integers = epoch * self.batches + place", "progress: Integers = place", "sampling/test_sampler_schedule.py"),
    Mutant("rounding batches are of the next epoch", C + "epochs.py", "np.minimum(number, self.batches - 1)", "np.asarray(number)", "sampling/test_sampler_schedule.py::test_an_audit_is_told_the_plan_of_a_batch"),
    Mutant("epochs are batches", C + "schedule.py", 'found / batches if self.unit == "epochs" else found', "found", "composition/test_schedule.py"),
    Mutant("a cosine is a line", C + "schedule.py", 'if self.shape == "cosine" else part', "if False else part", "composition/test_schedule.py"),
    Mutant("quotas stand still", C + "stages.py", "step = self._schedule.progress(epoch, number)", "step = 0 * number", "composition/test_stages.py::test_every_batch_keeps_the_contract_of_its_step"),
    Mutant("one stage of the ratio for all", C + "stages.py", "ratio.stages(ratio.position(step, n)) if isinstance(ratio, Schedule) else 0 * step", "0 * step", "composition/test_stages.py::test_a_table_need_not_hold_other_columns"),
    Mutant("what a batch took is forgotten", C + "stages.py", "first = laid_out.before[laid_out.start[group] + visits.rank[rest], half, stratum]", "first = 0 * group", "composition/test_stages.py::test_inside_an_epoch_visits_of_a_cell_differ_by_at_most_one"),
    Mutant("one permutation for all epochs", C + "stages.py", "Purpose.EPOCH, epoch)", "Purpose.EPOCH, 0)", "composition/test_stages.py::test_every_epoch_has_passes_of_its_own"),
    Mutant("idle points accepted", C + "stages.py", "            if idle:", "            if False:", "composition/test_stages.py::test_what_a_schedule_of_quotas_cannot_be_is_refused"),
    Mutant("a window where there is none", C + "focal_clock.py", "np.where(outside == 1, -1.0, hours)", "hours", "composition/test_stages.py::test_a_global_fraction_of_one_is_no_window_at_its_steps"),
    Mutant("a walked visit holds what it held", C + "walked.py", "new = order[~np.isin(order, taken)][", "new = order[", "composition/test_walked.py"),
    Mutant("what a walked visit skipped is lost", C + "walked.py", "order[~np.isin(order, new)]", "order[new.size :]", "composition/test_walked.py"),
    Mutant("each batch of a step has a window of its own", C + "epochs.py", "place - place % self.span", "place", "sampling/test_sampler_schedule_axes.py::test_a_batch_is_that_of_a_plan_with_its_steps_window"),
    Mutant("redraws from a window that stands still", C + "draw.py", "reach = self.clock.reach(epoch, number[mine])", "reach = self.clock.reach(0, 0 * number[mine])", "sampling/test_sampler_schedule_axes.py::test_a_batch_is_that_of_a_plan_with_its_steps_window"),
    Mutant("rounds while quotas move", C + "plan.py", "return alone and plain and not self.moving_quotas", "return alone and plain", "sampling/test_sampler_schedule_axes.py::test_values_stay_apart_while_quotas_move"),
    Mutant("a report holds all batches to one plan", C + "tally.py", "asked = None if stages is None else stages.asked(epoch, numbers)", "asked = None", "sampling/test_sampler_schedule_axes.py::test_a_report_holds_each_batch_to_its_own_step"),
    Mutant("passes of epochs count as one", C + "report.py", "(1 if composer.stages is None else epochs)", "1", "sampling/test_sampler_schedule_axes.py::test_passes_that_begin_anew_leave_anchors_apart_by_one_an_epoch"),
    Mutant("a gauge holds a step to one batch's window", C + "gauge.py", "is_scarce = (plan.span > 1) & ", "is_scarce = (plan.span > 99) & ", "sampling/test_sampler_schedule_axes.py::test_a_window_that_a_step_empties_is_asked_of_no_batch"),
    Mutant("focal times by anchors expected evenly", C + "windows.py", 'window.times == "anchors"', "False", "composition/test_expect.py::test_focal_times_by_anchors_are_expected_by_anchors"),
    Mutant("what is short under a schedule goes unsaid", C + "stages.py", "found = np.maximum(found, self._counts(key, step).bounds()[1][0].ravel())", "break", "composition/test_stages.py::test_a_construction_warns_once_of_what_the_schedule_will_meet"),
    Mutant("blocks of a line not independent", C + "systematic.py", "own = _Sequence(keyed.words(common.key, self.block))", "own = common", "composition/test_systematic.py"),
    Mutant("edges of blocks go their own way", C + "systematic.py", "np.where(is_inner, inner, place)", "inner", "composition/test_systematic.py"),
    Mutant("times in zones not left out", C + "systematic.py", "own.at(self.time - met)", "own.at(self.time)", "composition/test_systematic.py"),
    Mutant("no block more where visits vary", C + "systematic.py", "most + ~steady", "most", "composition/test_systematic.py sampling/test_sampler_weights.py"),
    Mutant("heavy anchors let through", C + "systematic.py", "* (1 + _ROUNDING)", "* 2", "composition/test_systematic.py sampling/test_sampler_weights.py"),
    Mutant("a race without weights", C + "race.py", "clock = -np.log(luck) / (weight_sum[place + 1] - weight_sum[place])", "clock = -np.log(luck)", "composition/test_race.py"),
    Mutant("points fall into the gap", C + "race.py", "at += np.where(at >= gap, after - gap, 0)", "at += 0 * after", "composition/test_race.py"),
    Mutant("a point falls twice", C + "race.py", "first = are_first(side * weight_sum.size + place)", "first = np.arange(side.size)", "composition/test_race.py"),
    Mutant("redraws forget weights", C + "distinct.py", "redrawn = _redrawn(origin, inside, turn, weight_sum)", "redrawn = _redrawn(origin, inside, turn, None)", "sampling/test_sampler_weights.py"),
    Mutant("a frame is never held", C + "local.py", "(visit + place * self.hold // frames) // self.hold", "visit", "sampling/test_sampler_locality.py"),
    Mutant("all frames change at once", C + "local.py", "(visit + place * self.hold // frames) // self.hold", "visit // self.hold", "sampling/test_sampler_locality.py"),
    Mutant("frames of the window are any frames", C + "local.py", "is_empty = np.where(is_outside, high - low == end - start, high == low)", "is_empty = low == low", "sampling/test_sampler_locality.py"),
    Mutant("short requests stay short", C + "local.py", "chosen = self._with_largest(wanted, chosen, short > 0, windows)", "pass", "sampling/test_sampler_locality.py"),
    Mutant("frames shared unevenly", C + "local.py", "left[some] // (frames[some] - nth)", "left[some]", "sampling/test_sampler_locality.py"),
    Mutant("groups of held frames not in runs", C + "epochs.py", "begin = np.flatnonzero(nth % run == 0)", "begin = np.arange(group.size)", "sampling/test_sampler_locality.py"),
    Mutant("natural shares are equal ones", C + "weights.py", "if given == NATURAL:\n        return normalised", "if given == NATURAL:\n        counts = [min(count, 1) for count in counts]\n        return normalised", "composition/test_natural.py"),
    Mutant("a mix forgets its weights", C + "weights.py", "held = [(part, Fraction(weight))", "held = [(part, Fraction(1))", "composition/test_natural.py"),
    Mutant("weights stand still within the schedule", C + "moving_weights.py", "np.add.at(times, point + 1, nth)", "np.add.at(times, point, nth)", "composition/test_moving_weights.py"),
    Mutant("weights of the epoch's beginning", C + "moving_weights.py", "steps = np.arange(epoch * self._batches, (epoch + 1) * self._batches)", "steps = np.full(self._batches, epoch * self._batches)", "composition/test_moving_weights.py"),
    Mutant("turns begin anew with every epoch of moving weights", C + "moving_weights.py", "middle = np.arange(epoch) * self._batches", "middle = np.arange(0) * self._batches", "composition/test_moving_weights.py"),
]  # fmt: skip


PROFILE = """
from hypothesis import Phase, settings
settings.register_profile("mutants", phases=[Phase.explicit, Phase.generate], deadline=None, database=None)
"""
"""To fail is enough; nobody reads a smallest example."""

OPTIONS = [
    *("-p", "no:cacheprovider", "-p", "mutant_profile", "--hypothesis-profile=mutants"),
    *("-n", "0"),
    "--timeout=60",  # a broken permutation may walk for ever
]


def kill(mutant: Mutant) -> tuple[Mutant, str]:
    """Return the first test that fails, or an empty text where none does."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "viscy_data"
        shutil.copytree(SOURCE, copy)
        text = (copy / mutant.file).read_text()
        if text.count(mutant.old) != 1:
            return mutant, f"STALE: {text.count(mutant.old)} places to change in {mutant.file}"
        (copy / mutant.file).write_text(text.replace(mutant.old, mutant.new))
        tests = [TESTS + name for name in mutant.tests.split()]
        (Path(folder) / "mutant_profile.py").write_text(PROFILE)
        command = [sys.executable, "-m", "pytest", "-x", "-q", *OPTIONS, *tests]
        environment = os.environ | {"PYTHONPATH": folder, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return mutant, failed[0].split("::")[-1].split(" - ")[0] if failed else ""


def main() -> int:
    """Run the mutants named, or all; print a table."""
    chosen = [mutant for mutant in MUTANTS if not sys.argv[1:] or mutant.name in sys.argv[1:]]
    alive = 0
    with ThreadPoolExecutor(max(1, (os.cpu_count() or 2) // 2)) as pool:
        for mutant, test in pool.map(kill, chosen):
            alive += not test or test.startswith("STALE")
            print(f"{mutant.name:50} {test or 'LIVES'}", flush=True)
    return int(alive > 0)


if __name__ == "__main__":
    sys.exit(main())
