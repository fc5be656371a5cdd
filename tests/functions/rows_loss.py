"""Rows of the test table: functions.loss."""

import numpy as np
from functions.rows_activation import softmax
from functions.table import distinct, labels, like, normal, row

import minigan.functions as F
from minigan.core import as_array


def binary_cross_entropy(x, t, normalize=True, reduce="mean"):
    p = 1 / (1 + np.exp(-x))
    loss = np.where(t == -1, 0.0, -np.where(t == 1, np.log(p), np.log(1 - p)))
    return loss if reduce == "no" else loss.sum() / ((t != -1).sum() if normalize else len(x))


def cross_entropy(x, t, normalize=True, class_weight=None, ignore_label=-1, reduce="mean", **rest):
    loss = np.zeros(t.shape)
    for i in np.ndindex(*t.shape):
        scores = x[(i[0], slice(None), *i[1:])]
        if t[i] != ignore_label:
            weight = 1.0 if class_weight is None else class_weight[t[i]]
            loss[i] = -weight * np.log(np.exp(scores[t[i]]) / np.exp(scores).sum())
    return loss if reduce == "no" else loss.sum() / ((t != ignore_label).sum() if normalize else len(x))


def soft_cross_entropy(x, soft_target_loss="cross-entropy", reduce="mean"):
    entropy = (SOFT * np.log(SOFT)).sum(axis=1) if soft_target_loss == "kl-divergence" else 0.0
    loss = entropy - (SOFT * np.log(softmax(x))).sum(axis=1)
    return loss if reduce == "no" else loss.mean()


def against_soft_targets(x, **arguments):
    return F.softmax_cross_entropy(x, like(SOFT, as_array(x)), **arguments)


SOFT = np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]])

def to_classes(x, t, norm="L1", reduce="mean"):
    sides = np.ones(x.shape)
    for i, c in enumerate(t):
        sides[i, c] = -1
    y = np.maximum(0, 1 + sides * x) ** {"L1": 1, "L2": 2}[norm]
    return y if reduce == "no" else y.sum() / len(x)


def pairs(x0, x1, y, margin=1, reduce="mean"):
    d = np.array([np.linalg.norm(a - b) for a, b in zip(x0, x1, strict=True)])
    loss = np.where(y == 1, d**2, np.maximum(margin - d, 0) ** 2) / 2
    return loss if reduce == "no" else loss.mean()


def triples(a, p, n, margin=0.2, reduce="mean"):
    loss = np.maximum(0, ((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + margin)
    return loss if reduce == "no" else loss.mean()


def huber(x, t, delta, reduce="sum_along_second_axis"):
    d = np.abs(x - t)
    loss = np.where(d < delta, d**2 / 2, delta * (d - delta / 2))
    return loss if reduce == "no" else loss.sum(axis=1)


def covariance(y, z, reduce="half_squared_sum"):
    c = sum(np.outer(a, b) for a, b in zip(y - y.mean(0), z - z.mean(0), strict=True)) / len(y)
    return c if reduce == "no" else (c**2).sum() / 2


def without_diagonal(h, reduce="half_squared_sum"):
    c = covariance(h, h, "no")
    np.fill_diagonal(c, 0)
    return c if reduce == "no" else (c**2).sum() / 2


def sampled(x, t, W, samples, reduce="mean"):
    loss = np.zeros(len(x))
    for i in range(len(x)):
        scores = np.exp(np.array([W[c] @ x[i] for c in (t[i], *samples[i])]))
        p = scores / scores.sum()
        loss[i] = -np.log(p[0]) - np.log(1 - p[1:]).sum()
    return loss if reduce == "no" else loss.mean()


def total(values, reduce="sum"):
    return {"sum": values.sum(), "mean": values.mean(), "no": values}[reduce]


def minus_log_bernoulli(x, y, **arguments):
    p = 1 / (1 + np.exp(-y))
    return total(-x * np.log(p) - (1 - x) * np.log(1 - p), **arguments)


def minus_log_gaussian(x, mean, ln_var, **arguments):
    deviation = np.exp(ln_var / 2)
    density = np.exp(-(((x - mean) / deviation) ** 2) / 2) / (deviation * np.sqrt(2 * np.pi))
    return total(-np.log(density), **arguments)


def divergence(mean, ln_var, **arguments):
    return total((mean**2 + np.exp(ln_var) - ln_var - 1) / 2, **arguments)


def clusters(x, labels, delta_v, delta_d, max_embedding_dim, norm=1, alpha=1.0, beta=1.0, gamma=0.001):
    spread = apart = near = 0
    m = max_embedding_dim
    for embeddings, t in zip(x, labels, strict=True):
        means = []
        for instance in range(1, m + 1):
            vectors = [embeddings[:, i, j] for i, j in np.argwhere(t == instance)]
            means.append(np.mean(vectors, axis=0) if vectors else np.zeros(x.shape[1]))
            near += np.linalg.norm(means[-1], norm) / m
            for v in vectors:
                spread += np.maximum(np.linalg.norm(v - means[-1], norm) - delta_v, 0) ** 2 / len(vectors) / m
        for a, b in np.argwhere(1 - np.eye(m)):
            apart += np.maximum(2 * delta_d - np.linalg.norm(means[a] - means[b], norm), 0) ** 2 / (m * (m - 1))
    return alpha * spread / len(x), beta * apart / len(x), gamma * near / len(x)


ROWS = [
    row("discriminative_margin_based_clustering_loss", (normal(2, 3, 2, 5), labels(0, 5, 2, 2, 5)), clusters,
        delta_v=0.5, delta_d=1.5, max_embedding_dim=3),
    row("discriminative_margin_based_clustering_loss", (normal(2, 2, 2, 5), labels(1, 4, 2, 2, 5)), clusters,
        delta_v=0.25, delta_d=2.0, max_embedding_dim=3, norm=2, alpha=2.0, beta=0.5, gamma=0.25),
    row("absolute_error", (distinct(2, 3), distinct(2, 3, shift=1 / 32)), lambda x, y: np.abs(x - y)),
    row("squared_error", (normal(2, 3), normal(2, 3)), lambda x, y: (x - y) ** 2),
    row("squared_difference", (normal(2, 3), normal(2, 3)), lambda x, y: (x - y) ** 2),
    row("huber_loss", (distinct(2, 3, 2), distinct(2, 3, 2, shift=1 / 32)), huber, delta=0.5),
    row("huber_loss", (distinct(2, 3), distinct(2, 3, shift=1 / 32)), huber, delta=0.25, reduce="no"),
    row("hinge", (normal(4, 3), labels(0, 3, 4)), to_classes),
    row("hinge", (normal(4, 3), labels(0, 3, 4)), to_classes, norm="L2", reduce="no"),
    row("contrastive", (normal(5, 3), normal(5, 3), labels(0, 2, 5)), pairs, margin=4),
    row("contrastive", (normal(5, 3), normal(5, 3), labels(0, 2, 5)), pairs, reduce="no"),
    row("triplet", (normal(4, 3), normal(4, 3), normal(4, 3)), triples),
    row("triplet", (normal(4, 3), normal(4, 3), normal(4, 3)), triples, margin=2.5, reduce="no"),
    row("bernoulli_nll", (lambda rng: rng.uniform(0, 1, (2, 3)), normal(2, 3)), minus_log_bernoulli),
    row("bernoulli_nll", (lambda rng: rng.uniform(0, 1, (2, 3)), normal(3)), minus_log_bernoulli, reduce="mean"),
    row("gaussian_nll", (normal(2, 3), normal(2, 3), normal(2, 3)), minus_log_gaussian),
    row("gaussian_nll", (normal(2, 3), normal(2, 3), normal(2, 1)), minus_log_gaussian, reduce="no"),
    row("gaussian_kl_divergence", (normal(2, 3), normal(2, 3)), divergence),
    row("gaussian_kl_divergence", (normal(2, 3), normal(2, 3)), divergence, reduce="mean"),
    row("cross_covariance", (normal(4, 3), normal(4, 2)), covariance),
    row("cross_covariance", (normal(4, 3), normal(4, 2)), covariance, reduce="no"),
    row("decov", normal(4, 3), without_diagonal),
    row("decov", normal(4, 3), without_diagonal, reduce="no"),
    row("black_out", (normal(3, 4), labels(0, 2, 3), normal(5, 4), labels(2, 5, 3, 2)), sampled),
    row("black_out", (normal(3, 4), labels(0, 2, 3), normal(5, 4), labels(2, 5, 3, 2)), sampled, reduce="no"),
    row("sigmoid_cross_entropy", (normal(4, 3), labels(-1, 2, 4, 3)), binary_cross_entropy),
    row("sigmoid_cross_entropy", (normal(4, 3), labels(-1, 2, 4, 3)), binary_cross_entropy, normalize=False),
    row("sigmoid_cross_entropy", (normal(4), labels(-1, 2, 4)), binary_cross_entropy, reduce="no"),
    row("softmax_cross_entropy", (normal(4, 3), labels(0, 3, 4)), cross_entropy),
    row("softmax_cross_entropy", (normal(4, 3), labels(-1, 3, 4)), cross_entropy, normalize=False),
    row("softmax_cross_entropy", (normal(4, 3), labels(0, 3, 4)), cross_entropy, ignore_label=1,
        enable_double_backprop=True),
    row("softmax_cross_entropy", (normal(2, 3, 2, 2), labels(-1, 3, 2, 2, 2)), cross_entropy, reduce="no"),
    row("softmax_cross_entropy", (normal(4, 3), labels(-1, 3, 4)), cross_entropy, note="class_weight",
        class_weight=np.array([1.0, 2.0, 0.5])),
    row("softmax_cross_entropy", normal(2, 3), soft_cross_entropy, against_soft_targets, note="soft"),
    row("softmax_cross_entropy", normal(2, 3), soft_cross_entropy, against_soft_targets, note="soft", reduce="no",
        soft_target_loss="kl-divergence"),
    row("mean_squared_error", (normal(2, 3), normal(2, 3)), lambda x, y: np.mean((x - y) ** 2)),
    row("mean_absolute_error", (distinct(2, 3), distinct(2, 3, shift=1 / 32)), lambda x, y: np.mean(np.abs(x - y))),
]
