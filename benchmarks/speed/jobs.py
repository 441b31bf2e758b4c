"""The jobs, and who does each, named by file and class: a library is imported in its own cases only."""

from dataclasses import dataclass

OURS = "viscy-data"
YARDSTICK = "yardstick"
"""The key of the case that measures NumPy's sort."""


@dataclass(frozen=True)
class Entry:
    """A contender of a job: what the table calls it, the package to install, and where its class is."""

    job: str
    sampler: str
    package: str
    file: str
    name: str

    @property
    def key(self) -> str:
        return f"{self.job}/{self.sampler}"

    @property
    def needs_all(self) -> bool:
        """Whether lineages, frames and weights are read."""
        return self.job in {HEAVY, FRAMES, DISTINCT, EVERY}

    @property
    def is_ours(self) -> bool:
        return self.package == OURS


SHUFFLE = "shuffle"
WEIGHTED = "weighted draw"
GROUP = "one group per batch"
BALANCED = "classes balanced"
GROUP_BALANCED = "one group, balanced"
MIX = "sources mixed by weight"
LEAK = "one group, balanced, leak"
FOCUS = "one group, balanced, focus"
ALL = "all axes"
HEAVY = "one group, balanced, anchors weighed"
FRAMES = "one group, balanced, 24 frames"
DISTINCT = "all axes, lineages distinct"
EVERY = "all axes, distinct, weighed"

ASKED = {
    SHUFFLE: "an epoch is every anchor once",
    WEIGHTED: "class i weighs i + 1; each batch of ours has the exact shares, torch's do on average",
    GROUP: "every batch from one experiment, experiments in proportion to their anchors",
    BALANCED: "as many anchors of each condition in every batch",
    GROUP_BALANCED: "both of the last two",
    MIX: "experiment i weighs i + 1",
    LEAK: "and 10 % from other experiments",
    FOCUS: "and 70 % around one focal time",
    ALL: "one group, balanced, leak and focus together",
    HEAVY: "one anchor in twenty comes five times as often as others of its cell",
    FRAMES: "and at most 24 frames in a batch",
    DISTINCT: "all axes, and no two anchors of one lineage in a batch",
    EVERY: "that, and anchors weighed",
}

METRIC_LEARNING, NODES, GRAIN, MOSAIC = "pytorch-metric-learning", "torchdata", "grain", "mosaicml-streaming"

ENTRIES = (
    Entry(SHUFFLE, "ours", OURS, "ours", "Ours"),
    Entry(SHUFFLE, "torch RandomSampler", "torch", "pytorch", "Random"),
    Entry(SHUFFLE, "torch DistributedSampler", "torch", "pytorch", "Distributed"),
    Entry(SHUFFLE, "grain shuffle", GRAIN, "grain_datasets", "Shuffle"),
    Entry(WEIGHTED, "ours", OURS, "ours", "WeightedClasses"),
    Entry(WEIGHTED, "torch WeightedRandomSampler", "torch", "pytorch", "WeightedRandom"),
    Entry(GROUP, "ours", OURS, "ours", "OneGroup"),
    Entry(GROUP, "pml MPerClassSampler", METRIC_LEARNING, "metric_learning", "OneClassPerBatch"),
    Entry(GROUP, "torchdata mix of batches", NODES, "nodes", "OneSourcePerBatch"),
    Entry(GROUP, "grain mix of batches", GRAIN, "grain_datasets", "OneSourcePerBatch"),
    Entry(GROUP, "Streaming per_stream", MOSAIC, "mosaic", "OneStreamPerBatch"),
    Entry(BALANCED, "ours", OURS, "ours", "BalancedClasses"),
    Entry(BALANCED, "pml MPerClassSampler", METRIC_LEARNING, "metric_learning", "EqualClasses"),
    Entry(BALANCED, "grain mix", GRAIN, "grain_datasets", "EqualClasses"),
    Entry(BALANCED, "Streaming stratified", MOSAIC, "mosaic", "EqualClasses"),
    Entry(GROUP_BALANCED, "ours", OURS, "ours", "OneGroupBalanced"),
    Entry(GROUP_BALANCED, "pml HierarchicalSampler", METRIC_LEARNING, "metric_learning", "Hierarchical"),
    Entry(MIX, "ours", OURS, "ours", "WeightedSources"),
    Entry(MIX, "torchdata mix", NODES, "nodes", "SourceMix"),
    Entry(MIX, "grain mix", GRAIN, "grain_datasets", "SourceMix"),
    Entry(MIX, "Streaming stratified", MOSAIC, "mosaic", "StreamMix"),
    Entry(LEAK, "ours", OURS, "ours", "OneGroupBalancedLeak"),
    Entry(FOCUS, "ours", OURS, "ours", "OneGroupBalancedFocus"),
    Entry(ALL, "ours", OURS, "ours", "AllAxes"),
    Entry(HEAVY, "ours", OURS, "ours", "OneGroupBalancedWeighted"),
    Entry(FRAMES, "ours", OURS, "ours", "OneGroupBalancedFewFrames"),
    Entry(DISTINCT, "ours", OURS, "ours", "AllAxesDistinct"),
    Entry(EVERY, "ours", OURS, "ours", "AllAxesDistinctWeighted"),
)
