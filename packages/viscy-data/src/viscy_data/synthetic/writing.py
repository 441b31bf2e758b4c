"""Simulate, expose and write whole experiments, several fields of view at a time.

Written into the output folder: per experiment ``NAME/plate.zarr`` and ``NAME/tracks/ROW/COLUMN/POSITION/
tracks.csv``; then `TRUTH_FILE`, one row per cell and frame with everything the simulation knows; and
last ``experiments.yaml``.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from viscy_data.columns import (
    CONDITION,
    EXPERIMENT,
    FOV,
    HOURS,
    PARENT_TRACK_ID,
    TRACK_ID,
    WELL,
    T,
    X,
    Y,
)
from viscy_data.files.outputs import folder_named
from viscy_data.files.room import check_room
from viscy_data.images.plates import (
    EXPERIMENTS_FILE,
    PLATE_FOLDER,
    TRACKS_FOLDER,
    create_plate,
    staged,
    write_experiments,
    write_tracks,
)
from viscy_data.progress import progress_bar
from viscy_data.synthetic.camera import make_camera
from viscy_data.synthetic.cells import Cells, simulate
from viscy_data.synthetic.knowledge import entries_of, write_knowledge
from viscy_data.synthetic.recipe import INFECTED, PIXEL_SIZE_UM, CellLines, Recipe
from viscy_data.synthetic.setup import CellLine, Setup, in_well, setups_of
from viscy_data.tables.experiment_fields import Samples

TRUTH_FILE: Final = "truth.parquet"
"""Name of the ground truth table in the output folder."""

_BLOCK_BYTES: Final = 16 * 2**20
_TWINS: Final = 2**31
"""In place of the number of an experiment where all show the same cells: nobody has so many."""
_WELLS: Final = 2**31 + 1
_TRUTH: Final = (
    "radius",
    "elongation",
    "angle",
    "age",
    "onset",
    "phenotype",
    "mitosis",
    "granularity",
    "reporter",
)
_TRACKS: Final = [TRACK_ID, T, Y, X, PARENT_TRACK_ID]


def synthesize(  # noqa: PLR0913  each is a choice of its own, with a default
    out: str | Path,
    *,
    experiments: int = Recipe.experiments,
    wells: int = Recipe.wells,
    fovs: int = Recipe.fovs,
    frames: int = Recipe.frames,
    cells: int = Recipe.cells,
    size: int = Recipe.size,
    seed: int = Recipe.seed,
    samples: Samples = "cells",
    cell_lines: CellLines = "own",
    well_effect: float = 1.0,
    microscope_effect: float = 1.0,
    infected: float | None = None,
    same_cells: bool = False,
    columns: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Write several experiments with known truth as OME-Zarr plates with tracks.

    The phenotype (cells round up and swell a little, granules gain contrast, the reporter leaves the
    nucleus for spots around it) appears and grows with hours post infection, in infected wells only.

    Parameters
    ----------
    out
        Folder to write in; made when it does not exist.
    experiments
        Plates, each with illumination, gain, blur, noise and clock of its own.
    wells, fovs
        Wells per plate and fields of view per well. One to three wells in eight are infected, at least
        one, and not as many on every plate.
    frames, cells
        Time points, and cells in the first one.
    size
        Height and width of a frame in pixels (0.65 micrometres each).
    seed
        Everything is a function of it.
    samples
        ``"channels"``: plates have unlike channels, and the experiments file makes a row of the table of each
        channel of a cell. Some plates have a stain of the nuclei, some no reporter.
    cell_lines
        ``"same"``: all experiments have one cell line and differ by their microscopes alone.
    well_effect
        How much wells of a plate differ in size, granularity and staining of their cells, whatever was done
        to them; 0 switches it off.
    microscope_effect
        How far the microscopes of the experiments differ, from 0, where they are one, to 1.
    infected
        Share of the wells of each plate that is infected; None: as above.
    same_cells
        The experiments show the very same cells, each through its own microscope: a cell and its *twins* in
        other experiments share field of view, track and frame. The microscopes are those that the seed has
        without this option, the cells are others: what a model trained without it knows of a microscope
        can be measured exactly.
    columns
        A plate map and annotations beside each plate, which the experiments file names as columns of one's
        own (:mod:`viscy_data.synthetic.knowledge`).
    overwrite
        Replace what an earlier call wrote.
    progress
        Show a progress bar.

    Returns
    -------
    Path
        Of the experiments file.

    Raises
    ------
    InvalidInputError
        A count is out of range, or ``out`` holds experiments already or has no room for these.
    """
    recipe = Recipe(
        experiments=experiments,
        wells=wells,
        fovs=fovs,
        frames=frames,
        cells=cells,
        size=size,
        seed=seed,
        samples=samples,
        cell_lines=cell_lines,
        well_effect=well_effect,
        microscope_effect=microscope_effect,
        infected=infected,
        same_cells=same_cells,
    )
    out = folder_named(out)
    check_room(out, recipe.bytes)
    setups = setups_of(recipe)
    entries = [*(setup.name for setup in setups), TRUTH_FILE, EXPERIMENTS_FILE]
    total = experiments * wells * fovs * frames
    with staged(out, entries, overwrite=overwrite) as folder:
        movies = [
            movie for number in range(experiments) for movie in _plate(number, setups[number], recipe, folder)
        ]
        with progress_bar("synthesize", total, unit="frames", shown=progress) as advance:
            truth = _in_threads(movies, advance)
        pd.concat(truth, ignore_index=True).to_parquet(folder / TRUTH_FILE, index=False)
        records = [_record(number, setup, recipe) for number, setup in enumerate(setups)]
        if columns:
            known = dict(iter(pd.concat(truth).groupby(EXPERIMENT)))
            for number, setup in enumerate(setups):
                write_knowledge(folder / setup.name, recipe.condition_wells(number), known[setup.name])
                records[number] |= entries_of(setup.name, number)
        note = f"Synthetic, with {TRUTH_FILE}: {recipe}"
        write_experiments(folder / EXPERIMENTS_FILE, records, note=note, samples=samples)
    return out / EXPERIMENTS_FILE


@dataclass(frozen=True, eq=False)
class _Movie:
    """One field of view to be made: a function of (seed, experiment, fov)."""

    recipe: Recipe
    setup: Setup
    channels: Mapping[str, str]
    condition: str
    fov: str
    number: int
    place: int
    image: Any
    tracks: Path

    def rng(self, purpose: Literal["cells", "camera", "noise"], frame: int = 0) -> np.random.Generator:
        twins = self.recipe.same_cells and purpose == "cells"
        key = [self.recipe.seed, _TWINS if twins else self.number, self.place]
        return np.random.default_rng([*key, ("cells", "camera", "noise").index(purpose), frame])

    def make(self, advance: Callable[[int], None]) -> pd.DataFrame:
        """Write images and tracks; return the truth."""
        recipe = self.recipe
        movie = simulate(
            self.setup,
            infected=self.condition == INFECTED,
            cells=recipe.cells,
            frames=recipe.frames,
            size=recipe.size,
            rng=self.rng("cells"),
        )
        self._expose(movie, advance)
        truth = self._truth(movie)
        write_tracks(self.tracks, self.fov, truth[_TRACKS].round(3).sort_values([TRACK_ID, T]))
        return truth

    def _expose(self, movie: Sequence[Cells], advance: Callable[[int], None]) -> None:
        markers = tuple(self.channels.values())
        camera = make_camera(self.setup, self.recipe.size, self.rng("camera"), markers)
        block = max(1, _BLOCK_BYTES // (2 * len(markers) * self.recipe.size**2))
        for start in range(0, len(movie), block):
            frames = movie[start : start + block]
            exposed = [camera.expose(cells, self.rng("noise", start + i)) for i, cells in enumerate(frames)]
            self.image[start : start + len(frames)] = np.stack(exposed)[:, :, None]
            advance(len(frames))

    def _truth(self, movie: Sequence[Cells]) -> pd.DataFrame:
        cells, hours = np.concatenate(movie), self.setup.hours(len(movie))
        t = np.repeat(np.arange(len(movie), dtype=np.int32), [len(frame) for frame in movie])
        return pd.DataFrame(
            {
                EXPERIMENT: self.setup.name,
                CONDITION: self.condition,
                WELL: self.fov.rpartition("/")[0],
                FOV: self.fov,
                TRACK_ID: cells["track_id"],
                PARENT_TRACK_ID: cells["parent_track_id"],
                T: t,
                HOURS: np.asarray(hours, np.float32)[t],
                Y: cells["y"],
                X: cells["x"],
                **{name: cells[name] for name in _TRUTH},
            }
        ).replace({"onset": {np.inf: np.nan}})


def _plate(number: int, setup: Setup, recipe: Recipe, folder: Path) -> Iterator[_Movie]:
    fovs = recipe.fov_names(number)
    channels = recipe.channels(number)
    shape = (recipe.frames, len(channels), 1, recipe.size, recipe.size)
    condition = {well: name for name, wells in recipe.condition_wells(number).items() for well in wells}
    images = create_plate(
        folder / setup.name / PLATE_FOLDER,
        dict.fromkeys(fovs, shape),
        channels=tuple(channels),
        dtype=np.uint16,
        pixel_size_um=PIXEL_SIZE_UM,
        interval_minutes=setup.interval_minutes,
    )
    tracks = folder / setup.name / TRACKS_FOLDER
    lines = _lines(number, setup, recipe, tuple(condition))
    for place, fov in enumerate(fovs):
        well = fov.rpartition("/")[0]
        treated = replace(setup, line=lines[well])
        yield _Movie(recipe, treated, channels, condition[well], fov, number, place, images[fov], tracks)


def _lines(number: int, setup: Setup, recipe: Recipe, wells: Sequence[str]) -> dict[str, CellLine]:
    """Return the cell line as it is in each well."""
    cells = _TWINS if recipe.same_cells else number
    key = (recipe.seed, _WELLS, cells)
    return {
        well: in_well(setup.line, recipe.well_effect, np.random.default_rng([*key, place]))
        for place, well in enumerate(wells)
    }


def _in_threads(movies: Iterable[_Movie], advance: Callable[[int], None]) -> list[pd.DataFrame]:
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        futures = [pool.submit(movie.make, advance) for movie in movies]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            return [future.result() for future in futures]
        finally:
            pool.shutdown(cancel_futures=True)


def _record(number: int, setup: Setup, recipe: Recipe) -> dict[str, object]:
    channels = recipe.channels(number)
    return {
        "name": setup.name,
        "data_path": f"{setup.name}/{PLATE_FOLDER}",
        "tracks_path": f"{setup.name}/{TRACKS_FOLDER}",
        "channels": list(channels) if recipe.samples == "cells" else dict(channels),
        "condition_wells": {name: list(wells) for name, wells in recipe.condition_wells(number).items()},
        "interval_minutes": setup.interval_minutes,
        "start_hpi": setup.start_hpi,
        "pixel_size_um": None,
        "exclude_fovs": [],
    }
