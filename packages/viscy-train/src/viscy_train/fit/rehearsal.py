"""A rehearsal: one cell of each experiment, read and encoded before a run makes a folder of its own.

A store that moved, a window deeper than its stack, or patches too small for the network would otherwise
end a run at its first batch, or at the first of the experiment that has the fault, hours later. It costs
as many patches as there are experiments, at most 64.
"""

import numpy as np
import torch

from viscy_data import InvalidInputError, ViscyDataError, normalize_batch
from viscy_data.columns import EXPERIMENT
from viscy_train.datamodule import AnchorDataModule
from viscy_train.module import ContrastiveModule

_MOST = 64


def rehearse(module: ContrastiveModule, data: AnchorDataModule) -> None:
    """Read and encode; nothing of either changes.

    Raises
    ------
    ViscyDataError
        A patch cannot be read, or the encoder cannot take it.
    """
    codes = data.dataset.valid_anchors[EXPERIMENT].astype("category").cat.codes
    rows = np.unique(codes.to_numpy(), return_index=True)[1][:_MOST]
    batch = normalize_batch(data.dataset.__getitems__(rows.tolist()))
    training = module.training
    try:
        with torch.no_grad():
            module.eval()(batch["anchor"])
    except ViscyDataError:
        raise
    except (ValueError, RuntimeError) as error:
        shape = "x".join(map(str, batch["anchor"].shape[1:]))
        first = str(error).splitlines()[0]
        raise InvalidInputError(
            f"model.encoder: patches of {shape} (channels, slices, rows, columns) cropped to "
            f"model.crop={module.crop} cannot be encoded: {first}"
        ) from error
    finally:
        module.train(training)
