"""Plates that show what another one shows, written otherwise: finer, deeper, with other channels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
import zarr
from torch.nn import functional

from viscy_data.images.plates import create_plate, write_experiments, write_tracks
from viscy_data.indexing.run import build_index
from viscy_data.tables.tau import TauRange


def rewritten(
    experiments: Path,
    folder: Path,
    *,
    zoom: int = 1,
    channels: Sequence[str] = ("Phase3D", "RFP"),
    names: Sequence[str] | None = None,
    depth: int = 1,
    pixel_size_um: float | None = 0.65,
    **more: object,
) -> Path:
    """Write the experiments of a file anew; return the new experiments file.

    Channels are taken in another order, under other ``names``; of ``depth`` slices the middle one holds the
    image, and the others hold it upside down. ``more`` goes into the file.
    """
    records = []
    for one in yaml.safe_load(experiments.read_text())["experiments"]:
        old, place = experiments.parent, folder / one["name"]
        fovs = sorted(
            str(path.parent.relative_to(old / one["tracks_path"]))
            for path in (old / one["tracks_path"]).rglob("*.csv")
        )
        arrays = {fov: zarr.open_array(old / one["data_path"] / fov / "0", mode="r")[:] for fov in fovs}
        order = [one["channels"].index(name) for name in channels]
        movies = {fov: _zoomed(torch.from_numpy(array)[:, order], zoom) for fov, array in arrays.items()}
        place.mkdir(parents=True)
        step = None if pixel_size_um is None else pixel_size_um / zoom
        images = create_plate(
            place / "plate.zarr",
            {fov: (*movie.shape[:2], depth, *movie.shape[3:]) for fov, movie in movies.items()},
            channels=list(names or channels),
            dtype="uint16",
            pixel_size_um=step,
            interval_minutes=one["interval_minutes"],
            z_step_um=0.5 if depth > 1 else None,
        )
        for fov, movie in movies.items():
            # the same pixels in other places: as bright and as varied, and another picture
            stack = movie.expand(-1, -1, depth, -1, -1).flip(3).clone()
            stack[:, :, depth // 2] = movie[:, :, 0]
            images[fov][:] = stack.round().to(torch.uint16).numpy()
            tracks = pd.read_csv(old / one["tracks_path"] / fov / "tracks.csv")
            tracks[["y", "x"]] = tracks[["y", "x"]] * zoom + (zoom - 1) / 2
            if depth > 1:
                tracks["z"] = depth // 2
            write_tracks(place / "tracks", fov, tracks)
        changed = {"data_path": f"{one['name']}/plate.zarr", "tracks_path": f"{one['name']}/tracks"}
        records.append({**one, **changed, "channels": list(names or channels), **more})
    return write_experiments(folder / "experiments.yaml", records)


def indexed(experiments: Path, patch: int = 40, **how: Any) -> Path:
    """Index experiments; return the table."""
    out = experiments.parent / "anchors.parquet"
    build_index(
        experiments,
        out,
        patch_size=(patch, patch),
        tau=TauRange(frames=(1, 2)),
        progress=False,
        processes=1,
        **how,
    )
    return out


def _zoomed(movie: torch.Tensor, zoom: int) -> torch.Tensor:
    """Return a movie (T, C, 1, Y, X) of finer pixels."""
    flat = movie[:, :, 0].float()
    finer = functional.interpolate(flat, scale_factor=zoom, mode="bilinear") if zoom > 1 else flat
    return finer[:, :, None]
