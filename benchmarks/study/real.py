"""Real crops under imposed microscopes: whether the encoder learns to look past them, where no truth is
simulated.

The movies have one microscope each and no treatment, so they say nothing of biology here. But whatever is
done to their pixels is known. Each movie is shown through five cameras (blur, haze, illumination, photons,
gain, offset, read noise); a sixth of its tracks trains under each, and the last sixth, which no encoder
trains on, is seen through all five: the twins. The model sees one channel. What it is asked about comes
from elsewhere: the ratio of reporter in nucleus and ring, measured before the camera with masks of the
other channel; the level of the other FUCCI colour; the area of the mask.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from study.data import PATCH, cut
from viscy_data import TauRange, build_index
from viscy_data.columns import EXPERIMENT, FOV, PARENT_TRACK_ID, TRACK_ID, T, X, Y
from viscy_data.images.plates import create_plate, write_experiments, write_tracks
from viscy_data.synthetic.setup import Microscope, make_setup

CAMERAS: Final = 5
_PARTS: Final = CAMERAS + 1


@dataclass(frozen=True)
class Movie:
    """A movie of the shared data: which channel the model sees, and what it is asked about."""

    name: str
    seen: int
    other: int
    label: str


SETS: Final = {
    "ktr": (
        Movie("ktr_celltk", seen=1, other=1, label="ratio"),
        Movie("ktr_covertrack_b", seen=1, other=1, label="ratio"),
    ),
    "fucci": (Movie("fucci_hacat", seen=1, other=0, label="level"),),
}


def make_real(folder: Path, name: str, movies: Path, seed: int) -> None:
    """Write plates of one set under all cameras, index and cut out once."""
    done = folder / "made.json"
    if done.exists():
        return
    known = {movie.name: _labels(movies / movie.name, movie) for movie in SETS[name]}
    for kind in ("data", "twins"):
        truth, records = [], []
        for camera in range(CAMERAS):
            experiment = f"camera_{camera + 1}"
            images, tracks = {}, {}
            for place, movie in enumerate(SETS[name]):
                fov, table = f"A/{place + 1}/0", known[movie.name]
                rng = np.random.default_rng([seed, camera, place])
                microscope = make_setup(camera, seed).microscope
                images[fov] = _exposed(movies / movie.name, movie.seen, microscope, rng)
                tracks[fov] = table[table["part"] == (CAMERAS if kind == "twins" else camera)]
                truth.append(tracks[fov].assign(**{EXPERIMENT: experiment, FOV: fov}))
            records.append(_write(folder / kind, experiment, images, tracks))
        write_experiments(folder / kind / "experiments.yaml", records, note=f"{name}, imposed cameras")
        build_index(
            folder / kind / "experiments.yaml",
            folder / kind / "anchors.parquet",
            patch_size=(PATCH, PATCH),
            tau=TauRange(frames=(1, 2)),
            progress=False,
            overwrite=True,
        )
        cut(folder, kind, pd.concat(truth), ["label", "area"])
    done.write_text(json.dumps({"seed": seed, "set": name, "movies": [asdict(one) for one in SETS[name]]}))


def _labels(movie_folder: Path, movie: Movie) -> pd.DataFrame:
    """Return the tracks with what the model is asked about, in units of its spread within the movie."""
    tracks = pd.read_csv(movie_folder / "tracks.csv")
    tracks[PARENT_TRACK_ID] = -1  # a part holds daughters without their mother
    tracks["part"] = np.unique(tracks[TRACK_ID], return_inverse=True)[1] % _PARTS
    found = []
    for t, rows in tracks.groupby(T):
        image = tifffile.imread(movie_folder / f"frames/t{t:03d}.tif")[movie.other].astype(np.float64)
        masks = tifffile.imread(movie_folder / f"masks/t{t:03d}.tif")
        found.append(rows.assign(**_measured(image, masks, rows[TRACK_ID].to_numpy(), movie.label)))
    table = pd.concat(found)
    for name in ("label", "area"):
        table[name] = (table[name] - table[name].mean()) / table[name].std()
    return table.dropna(subset=["label", "area"])


def _measured(
    image: NDArray[np.float64], masks: NDArray[Any], tracks: NDArray[Any], label: str
) -> dict[str, NDArray[np.float64]]:
    """Return label and area of some masks: log ratio of mask to ring, or log mean above background."""
    grown = ndimage.grey_dilation(masks, size=(9, 9))
    ring = np.where((masks == 0) & (ndimage.grey_dilation(masks, size=(3, 3)) == 0), grown, 0)
    background = np.percentile(image, 1)
    inside = ndimage.mean(image, masks, tracks) - background
    around = ndimage.mean(image, ring, tracks) - background
    area = ndimage.sum_labels(np.ones_like(image), masks, tracks)
    with np.errstate(all="ignore"):
        value = np.log(inside / around) if label == "ratio" else np.log(np.maximum(inside, 1.0))
    value[~np.isfinite(value)] = np.nan
    return {"label": value, "area": np.log(np.where(area > 0, area, np.nan))}


def _exposed(
    movie_folder: Path, channel: int, microscope: Microscope, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """Return the frames (T, 1, 1, Y, X) of a channel as one camera would have taken them."""
    frames = np.stack(
        [tifffile.imread(path)[channel] for path in sorted((movie_folder / "frames").glob("*.tif"))]
    ).astype(np.float32)
    low, high = np.percentile(frames, [1, 99.5])
    light = np.clip((frames - low) / (high - low), 0, 2)
    light = ndimage.gaussian_filter(light, (0, microscope.blur, microscope.blur))
    haze = ndimage.gaussian_filter(light, (0, 14, 14))
    light = (1 - microscope.haze) * light + microscope.haze * haze + microscope.autofluorescence
    rows, columns = (np.linspace(-0.5, 0.5, side, dtype=np.float32) for side in light.shape[1:])
    slope = rows[:, None] * np.sin(microscope.tilt_angle) + columns * np.cos(microscope.tilt_angle)
    field = (1 - microscope.vignette * 2 * (rows[:, None] ** 2 + columns**2)) * (1 + microscope.tilt * slope)
    photons = rng.poisson(light * field * microscope.reporter_photons)
    counts = photons * (microscope.reporter_gain / microscope.reporter_photons) + microscope.reporter_offset
    counts = counts + rng.normal(0, microscope.read_noise, counts.shape)
    return np.clip(np.rint(counts), 0, 65535).astype(np.uint16)[:, None, None]


def _write(
    folder: Path,
    experiment: str,
    images: Mapping[str, NDArray[np.uint16]],
    tracks: Mapping[str, pd.DataFrame],
) -> dict[str, object]:
    plate = create_plate(
        folder / experiment / "plate.zarr",
        {fov: image.shape for fov, image in images.items()},
        channels=("seen",),
        dtype=np.uint16,
        pixel_size_um=None,
        interval_minutes=None,
    )
    for fov, image in images.items():
        plate[fov][:] = image
        columns = [TRACK_ID, T, Y, X, PARENT_TRACK_ID]
        write_tracks(folder / experiment / "tracks", fov, tracks[fov][columns])
    return {
        "name": experiment,
        "data_path": f"{experiment}/plate.zarr",
        "tracks_path": f"{experiment}/tracks",
        "channels": ["seen"],
        "interval_minutes": None,
    }
