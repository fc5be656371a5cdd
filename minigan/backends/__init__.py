"""The doors to array libraries other than NumPy."""
