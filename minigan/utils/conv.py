"""Sizes of convolutions, under the names that Chainer's scripts import."""

from minigan.kernels.im2col import get_conv_outsize, get_deconv_outsize

__all__ = ["get_conv_outsize", "get_deconv_outsize"]
