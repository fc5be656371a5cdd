"""File formats for models, optimizers and trainers."""

from minigan.serializers.npz import DictionarySerializer as DictionarySerializer
from minigan.serializers.npz import NpzDeserializer as NpzDeserializer
from minigan.serializers.npz import load_npz as load_npz
from minigan.serializers.npz import save_npz as save_npz
