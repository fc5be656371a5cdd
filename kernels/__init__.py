"""The array kernels: what they compute, on NumPy and CuPy arrays; they know no Variable."""
