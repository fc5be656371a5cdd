import sys

import chainer
import numpy as np


def to_image(x):
    return (np.asarray(x).astype(np.float) * 127.5 + np.int(127.5)).astype(np.uint8)


x = chainer.Variable(np.zeros((2, 2), dtype=np.float32))
print(to_image(x.data).max(), np.product((2, 3)), np.bool is bool or np.bool)
if 'pillow' in sys.argv:
    from PIL import Image
    print(Image.fromarray(to_image(x.data)).resize((4, 4), Image.ANTIALIAS).size)
