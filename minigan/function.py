"""The name that older scripts use: `chainer.function.no_backprop_mode()`."""

from minigan.configuration import force_backprop_mode as force_backprop_mode
from minigan.configuration import no_backprop_mode as no_backprop_mode
