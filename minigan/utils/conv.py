"""Windows of images (N, C, H, W) as arrays, and sizes of convolutions, under the names that scripts import."""

from __future__ import annotations

from typing import Any

from minigan.kernels.im2col import Windows, get_conv_outsize, get_deconv_outsize
from minigan.utils.conv_nd import col2im_nd, take_windows

__all__ = ["col2im", "col2im_cpu", "col2im_gpu", "get_conv_outsize", "get_deconv_outsize", "im2col", "im2col_cpu",
           "im2col_gpu"]  # fmt: skip


def im2col_cpu(
    img: Any, kh: int, kw: int, sy: int, sx: int, ph: int, pw: int, pval: Any = 0, cover_all: bool = False,
    dy: int = 1, dx: int = 1, out_h: int | None = None, out_w: int | None = None,
) -> Any:  # fmt: skip
    """Windows of img (N, C, H, W), `pval` outside of it: (N, C, kh, kw, out_h, out_w); see `im2col_nd_cpu`."""
    h, w = img.shape[2:]
    out_h = get_conv_outsize(h, kh, sy, ph, cover_all, dy) if out_h is None else out_h
    out_w = get_conv_outsize(w, kw, sx, pw, cover_all, dx) if out_w is None else out_w
    return take_windows(img, Windows((kh, kw), (sy, sx), (ph, pw), (dy, dx), (h, w), (out_h, out_w)), pval)


def im2col(
    img: Any, kh: int, kw: int, sy: int, sx: int, ph: int, pw: int, cover_all: bool = False,
    dy: int = 1, dx: int = 1, out_h: int | None = None, out_w: int | None = None,
) -> Any:  # fmt: skip
    """`im2col_cpu` with zeros outside, on NumPy and CuPy arrays."""
    return im2col_cpu(img, kh, kw, sy, sx, ph, pw, 0, cover_all, dy, dx, out_h, out_w)


im2col_gpu = im2col


def col2im(col: Any, sy: int, sx: int, ph: int, pw: int, h: int, w: int, dy: int = 1, dx: int = 1) -> Any:
    """The transpose of `im2col`: (N, C, kh, kw, out_h, out_w) added up to images (N, C, h, w)."""
    return col2im_nd(col, (sy, sx), (ph, pw), (h, w), (dy, dx))


col2im_cpu = col2im_gpu = col2im
