"""A script of Chainer 1: volatile, test, train, wscale, zero_grads."""
import json
import math

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
from chainer import Variable


class Net(chainer.Chain):
    def __init__(self):
        super(Net, self).__init__(
            c=L.Convolution2D(3, 8, 4, stride=2, pad=1, wscale=0.02 * math.sqrt(4 * 4 * 3)),
            bn=L.BatchNormalization(8),
            l=L.Linear(8 * 4 * 4, 2, wscale=0.5, bias=0.25, use_cudnn=False),
        )

    def __call__(self, x, test=False):
        h = F.relu(self.bn(self.c(x), test=test))
        return self.l(F.dropout(h, ratio=0.5, train=not test))


np.random.seed(0)
net = Net()
optimizer = chainer.optimizers.Adam(alpha=0.0002, beta1=0.5)
optimizer.setup(net)
x = np.random.normal(size=(4, 3, 8, 8)).astype('f')
t = np.array([0, 1, 0, 1], 'i')
stds = [float(net.c.W.data.std()), float(net.l.W.data.std() * math.sqrt(128)), float(net.l.b.data[0])]
for _ in range(2):
    loss = F.softmax_cross_entropy(net(Variable(x)), Variable(t))
    optimizer.zero_grads()
    loss.backward()
    optimizer.update()
quiet = Variable(x, volatile=True)
a, b = net(quiet, test=True), net(Variable(x, volatile=True), test=True)
assert (a.data == b.data).all() and isinstance(a, Variable) and isinstance(quiet, chainer.Variable)
assert isinstance(net.l, L.Linear) and issubclass(L.Linear, chainer.Link) and chainer.config.train
assert quiet.requires_grad is False
print(json.dumps(stds))
