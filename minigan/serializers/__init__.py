"""File formats for models, optimizers and trainers."""

from minigan.serializers.hdf5 import HDF5Deserializer as HDF5Deserializer
from minigan.serializers.hdf5 import HDF5Serializer as HDF5Serializer
from minigan.serializers.hdf5 import load_hdf5 as load_hdf5
from minigan.serializers.hdf5 import save_hdf5 as save_hdf5
from minigan.serializers.npz import DictionarySerializer as DictionarySerializer
from minigan.serializers.npz import NpzDeserializer as NpzDeserializer
from minigan.serializers.npz import load_npz as load_npz
from minigan.serializers.npz import save_npz as save_npz
