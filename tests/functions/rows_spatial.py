"""Rows of the test table: functions.spatial."""

import numpy as np
from functions.table import normal, pair, row


def image_read_at(x, i, j):
    """x (N, C, H, W) between its pixels, at row i and column j of every (N, C); 0 outside."""
    y = np.zeros(x.shape[:2])
    for a in range(x.shape[2]):
        for b in range(x.shape[3]):
            y += x[:, :, a, b] * max(0.0, 1 - abs(i - a)) * max(0.0, 1 - abs(j - b))
    return y


def resized(x, output_shape, mode="bilinear", align_corners=True):
    y = np.zeros((*x.shape[:2], *output_shape))
    for i, j in np.ndindex(*output_shape):
        place = []
        for k, n, m in zip((i, j), x.shape[2:], output_shape, strict=True):
            if mode == "nearest":
                place.append(k * n // m)
            elif align_corners:
                place.append(k * (n - 1) / (m - 1) if m > 1 else 0)
            else:
                place.append(min(max((k + 0.5) * n / m - 0.5, 0), n - 1))
        y[:, :, i, j] = image_read_at(x, *place)
    return y


def affine_grid(theta, output_shape):
    h, w = output_shape
    y = np.zeros((len(theta), 2, h, w))
    for n, i, j in np.ndindex(len(theta), h, w):
        y[n, :, i, j] = theta[n] @ [2 * j / (w - 1) - 1, 2 * i / (h - 1) - 1, 1]
    return y


def warped(x, grid):
    n, c, h, w = x.shape
    y = np.zeros((n, c, *grid.shape[2:]))
    for k, i, j in np.ndindex(n, *grid.shape[2:]):
        column, line = (grid[k, :, i, j] + 1) / 2 * [w - 1, h - 1]
        y[k, :, i, j] = image_read_at(x[k : k + 1], line, column)[0]
    return y


def grid_off_pixels(n, h, w, height, width):
    """Points in and around an image whose neighbours do not change within the step of the numeric derivative."""

    def make(rng):
        places = rng.randint(-2, max(height, width) + 1, (n, 2, h, w)) + rng.uniform(0.2, 0.8, (n, 2, h, w))
        return places / np.array([width - 1, height - 1]).reshape(1, 2, 1, 1) * 2 - 1

    return make


def pixels_from_channels(X, r):
    n, c, h, w = X.shape
    c //= r * r
    y = np.zeros((n, c, h * r, w * r))
    for i, j in np.ndindex(r, r):
        y[:, :, i::r, j::r] = X[:, (i * r + j) * c : (i * r + j + 1) * c]
    return y


def channels_from_pixels(X, r):
    return np.concatenate([X[:, :, i::r, j::r] for i in range(r) for j in range(r)], axis=1)


def windows(x, ksize, stride=1, pad=0, cover_all=False, dilate=1):
    (kh, kw), (sy, sx), (py, px), (dy, dx) = map(pair, (ksize, stride, pad, dilate))
    n, c, h, w = x.shape
    padded = np.zeros((n, c, h + 2 * py + 9, w + 2 * px + 9))
    padded[:, :, py : py + h, px : px + w] = x
    oh = len(range(0, h + 2 * py - dy * (kh - 1) + (sy - 1 if cover_all else 0), sy))
    ow = len(range(0, w + 2 * px - dx * (kw - 1) + (sx - 1 if cover_all else 0), sx))
    y = np.zeros((n, c, kh, kw, oh, ow))
    for u, v, i, j in np.ndindex(kh, kw, oh, ow):
        y[:, :, u, v, i, j] = padded[:, :, i * sy + u * dy, j * sx + v * dx]
    return y.reshape(n, c * kh * kw, oh, ow)


ROWS = [
    row("depth2space", normal(2, 8, 2, 3), pixels_from_channels, r=2),
    row("im2col", normal(2, 2, 4, 3), windows, ksize=(3, 2)),
    row("im2col", normal(1, 2, 5, 4), windows, ksize=2, stride=(2, 3), pad=(0, 1), cover_all=True, dilate=(1, 2)),
    row("resize_images", normal(2, 2, 3, 4), resized, output_shape=(5, 3)),
    row("resize_images", normal(1, 2, 3, 4), resized, output_shape=(1, 7), align_corners=False),
    row("resize_images", normal(1, 2, 3, 5), resized, output_shape=(4, 2), mode="nearest"),
    row("space2depth", normal(2, 2, 4, 6), channels_from_pixels, r=2),
    row("spatial_transformer_grid", normal(2, 2, 3), affine_grid, output_shape=(3, 4)),
    row("spatial_transformer_sampler", (normal(2, 3, 4, 3), grid_off_pixels(2, 3, 5, 4, 3)), warped),
]
