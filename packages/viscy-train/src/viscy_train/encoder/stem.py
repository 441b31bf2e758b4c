"""A stem that folds the depth of a patch into the channels of a plain 2D network."""

from torch import Tensor, nn


class FoldedStem(nn.Module):
    """Conv3d with stride = kernel, then depth x features side by side as channels.

    Parameters
    ----------
    in_channels, depth : int
        C and Z of a patch.
    width : int
        Channels to give; divided by the depth that remains, the features of the convolution.
    kernel : (int, int, int)
        Z, Y, X.

    Raises
    ------
    ValueError
        `depth` is not a multiple of the kernel's, or what remains does not divide `width`.

    Examples
    --------
    >>> import torch
    >>> FoldedStem(2, 4, 96, (2, 4, 4))(torch.zeros(1, 2, 4, 64, 64)).shape
    torch.Size([1, 96, 16, 16])
    """

    def __init__(self, in_channels: int, depth: int, width: int, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        works = [kernel[0] * left for left in range(1, width + 1) if width % left == 0]
        if depth not in works:
            raise ValueError(
                f"depth={depth}: folded by a kernel of {kernel[0]} slices it must divide the stem's "
                f"{width} channels; depths that work: {', '.join(map(str, works))}"
            )
        features = width * kernel[0] // depth
        self._shape = (in_channels, depth)
        self.convolution = nn.Conv3d(in_channels, features, kernel_size=kernel, stride=kernel)

    def forward(self, patches: Tensor) -> Tensor:
        """Fold patches (B, C, Z, Y, X), or (B, C * Z, Y, X), to (B, width, Y // ky, X // kx)."""
        # 2D networks look at the shape of what they are given before their stem sees it
        rows, columns = patches.shape[-2:]
        stacks = patches.reshape(patches.shape[0], *self._shape, rows, columns)
        features: Tensor = self.convolution(stacks)
        return features.flatten(1, 2)
