"""Rows of the test table: functions.whitening."""

import numpy as np
from functions.table import normal, off_zero, row


def whiten(x, groups, eps):
    parts = []
    for part in np.split(x, groups, axis=1):
        rows = np.moveaxis(part, 1, 0).reshape(part.shape[1], -1)
        centred = rows - rows.mean(axis=1, keepdims=True)
        u, s, _ = np.linalg.svd(centred @ centred.T / rows.shape[1] + eps * np.eye(len(rows)))
        y = u @ np.diag(1 / np.sqrt(s)) @ u.T @ centred
        parts.append(np.moveaxis(y.reshape(part.shape[1], len(x), *x.shape[2:]), 0, 1))
    return np.concatenate(parts, axis=1)


def project(x, mean, projection, groups):
    parts = zip(np.split(x, groups, axis=1), mean, projection)
    return np.concatenate(
        [np.einsum("ij,nj...->ni...", p, np.moveaxis(np.moveaxis(x, 1, -1) - m, -1, 1)) for x, m, p in parts], axis=1
    )


def divide_by_length(x, eps=1e-5, axis=1):
    return x / (np.sqrt((x**2).sum(axis=axis, keepdims=True)) + eps)


def divide_by_neighbours(x, n=5, k=2, alpha=1e-4, beta=0.75):
    y = np.zeros_like(x)
    for c in range(x.shape[1]):
        near = x[:, max(0, c - n // 2) : c + n // 2 + 1]
        y[:, c] = x[:, c] / (k + alpha * (near**2).sum(axis=1)) ** beta
    return y


ROWS = [
    row("decorrelated_batch_normalization", normal(5, 4), whiten, groups=2, eps=0.1),
    row("decorrelated_batch_normalization", normal(3, 3, 2, 2), whiten, groups=1, eps=0.3),
    row("fixed_decorrelated_batch_normalization", (normal(2, 4, 2), normal(2, 2), normal(2, 2, 2)), project, groups=2),
    row("fixed_decorrelated_batch_normalization", (normal(3, 2), normal(1, 2), normal(1, 2, 2)), project, groups=1),
    row("local_response_normalization", normal(2, 7, 2), divide_by_neighbours, k=1.5, alpha=0.3),
    row("local_response_normalization", normal(2, 3), divide_by_neighbours, n=9, alpha=0.3, beta=0.5),
    row("local_response_normalization", normal(1, 4, 2), divide_by_neighbours, n=2, alpha=0.5),
    row("normalize", off_zero(3, 4), divide_by_length),
    row("normalize", off_zero(2, 3, 2), divide_by_length, eps=0.1, axis=(0, 2)),
    row("normalize", off_zero(4), divide_by_length, axis=0),
]
