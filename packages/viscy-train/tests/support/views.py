"""Embeddings to look at, without training: simple functions of patches, and names that try to be markup."""

import csv
from pathlib import Path

import torch
import yaml
from torch import Tensor, nn

from viscy_data.dataset.anchor_dataset import AnchorDataset
from viscy_data.indexing.run import build_index
from viscy_data.synthetic.writing import synthesize
from viscy_data.tables.tau import TauRange
from viscy_train.embed import embed

EVIL = "Zähler \"1\" & <b>fett</b> 'x' </script><script>document.title = 'taken'</script>"
"""A name as nobody should write one."""


class Means(nn.Module):
    """Means of the four quarters of each channel: something that cells differ in."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        means = nn.functional.adaptive_avg_pool2d(patches[:, :, 0], 3).flatten(1) * self.scale
        return means, means[:, :2]


def write_experiments(folder: Path) -> Path:
    """Write two small experiments whose tracks have ids of their program, and a column that holds `EVIL`."""
    experiments = synthesize(
        folder / "data", experiments=2, wells=2, fovs=1, frames=4, cells=6, size=96, progress=False
    )
    for number, path in enumerate(sorted((folder / "data").rglob("tracks.csv"))):
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        for place, row in enumerate(rows):
            row["id"] = str(10**9 * (number + 1) + 7 * place)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    content = yaml.safe_load(experiments.read_text())
    for one, value in zip(content["experiments"], (EVIL, "plain"), strict=True):
        one["columns"] = {'Färbung "<i>" &': value, "dose": 1.5}
    experiments.write_text(yaml.safe_dump(content))
    return experiments


def index(experiments: Path, out: Path) -> Path:
    build_index(experiments, out, patch_size=(40, 40), tau=TauRange(frames=(1, 2)), progress=False)
    return out


def embedded(anchors: Path, out: Path) -> Path:
    """Embed a table as the command does, as far as a page can tell."""
    dataset = AnchorDataset(anchors, positive="self")
    return embed(Means(), dataset, out, progress=False)
