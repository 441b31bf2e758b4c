import numpy as np
import pytest

from viscy_data.errors import InvalidInputError
from viscy_train.evaluation.arrays import unit_rows
from viscy_train.view import maps
from viscy_train.view.maps import check_kind, principal, tsne, tsne_steps


def test_principal_components_are_those_of_the_singular_values() -> None:
    unit = unit_rows(np.random.default_rng(0).normal(size=(40, 5)))
    places, shares = principal(unit)
    left, values, _ = np.linalg.svd(unit - unit.mean(axis=0), full_matrices=False)
    assert np.allclose(np.abs(places), np.abs(left[:, :2] * values[:2]), atol=1e-5)
    assert np.allclose(shares, (values**2 / (values**2).sum())[:2])


@pytest.mark.parametrize("shape", [(1, 4), (2, 1), (3, 2), (9, 1)])
def test_few_cells_and_narrow_embeddings_have_a_place(shape: tuple[int, int]) -> None:
    places, _ = principal(unit_rows(np.random.default_rng(0).normal(size=shape)))
    assert places.shape == (shape[0], 2)
    assert np.isfinite(places).all()


@pytest.mark.parametrize("shape", [(8, 1), (8, 3), (30, 60)])
def test_one_seed_makes_one_map_and_tells_how_far_it_is(shape: tuple[int, int]) -> None:
    unit = unit_rows(np.random.default_rng(0).normal(size=shape))
    told: list[int] = []
    first, again = (tsne(unit, seed=3, advance=told.append) for _ in range(2))
    assert np.isfinite(first).all()
    assert np.array_equal(first, again)
    assert 0 < sum(told) <= 2 * tsne_steps()


def test_cells_that_are_all_alike_lie_in_one_place() -> None:
    assert not tsne(np.zeros((9, 3)), seed=0, advance=lambda _: None).any()
    assert not principal(np.zeros((9, 3)))[0].any()


def test_maps_that_cannot_be_made_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "find_spec", lambda _: None)
    with pytest.raises(InvalidInputError, match="umap-learn: pip install"):
        check_kind("umap")
    with pytest.raises(InvalidInputError, match="map='mds': pca, tsne or umap is needed"):
        check_kind("mds")
