"""Colours of HDR and wide-gamut video as a photo's: sRGB.

FFmpeg's `zscale`, which knows how, is not in PyAV's wheels, and its `scale` maps HDR by display
light, so that the same scene gets other colours than in an SDR video. Here reference white (75 %
of an HLG signal, 203 nits of PQ; ITU-R BT.2408) becomes white, and what is brighter is cut off.
Codes of transfers and primaries are those of ITU-T H.273.
"""

import numpy as np
from numpy.typing import NDArray

_PQ, _HLG = 16, 18
# Linear BT.709 from linear BT.2020 and from linear P3 with white D65.
_TO_709 = {
    9: np.array(
        [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
    ),
    12: np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]]),
}
_HLG_WHITE = 0.265
"""Share of the scene's light at 75 % of the signal."""
_PQ_WHITE = 203 / 10000


def is_srgb(transfer: int, primaries: int) -> bool:
    """Tell whether colours can stay as they are: SDR with the primaries of BT.709, or not known."""
    return transfer not in (_PQ, _HLG) and primaries not in _TO_709


def in_srgb(pixels: NDArray[np.uint16], transfer: int, primaries: int) -> NDArray[np.uint8]:
    """Bring R'G'B' of 16 bits, `[h, w, 3]`, to sRGB of 8 bits.

    Args:
        pixels: values of the full range.
        transfer: code of the transfer characteristics; SDR ones are taken as that of sRGB.
        primaries: code of the primaries.
    """
    table = _linear(np.linspace(0, 1, 1 << 16, dtype=np.float32), transfer).astype(np.float32)
    linear = table[pixels]
    if primaries in _TO_709:
        linear = linear @ _TO_709[primaries].T.astype(np.float32)
    linear = linear.clip(0, 1)
    signal = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray((signal * 255).round(), dtype=np.uint8)


def _linear(signal: NDArray[np.float32], transfer: int) -> NDArray[np.float32]:
    """Return light by signal, reference white being 1."""
    light: NDArray[np.float32]
    if transfer == _HLG:
        # Inverse OETF of ITU-R BT.2100: the scene's light, as cameras and phones record it.
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
        return light / _HLG_WHITE
    if transfer == _PQ:
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        root = signal ** (1 / m2)
        light = (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
        return light / _PQ_WHITE
    light = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    return light
