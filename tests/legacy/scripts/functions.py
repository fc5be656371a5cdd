"""Functions of one's own: an old-style Function with type checks, FunctionNodes that differentiate twice."""
import json

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
from chainer import cuda, function, function_node
from chainer.utils import type_check


class StraightSign(chainer.Function):
    def check_type_forward(self, in_types):
        type_check.expect(in_types.size() == 1)
        x_type, = in_types
        type_check.expect(x_type.dtype.kind == 'f', x_type.ndim >= 1)

    def forward(self, inputs):
        xp = cuda.get_array_module(*inputs)
        x, = inputs
        return xp.where(x >= 0, 1, -1).astype(x.dtype),

    def backward(self, inputs, grad_outputs):
        x, = inputs
        return grad_outputs[0] * (abs(x) <= 1),


class Minibatch(function.Function):
    """forward_cpu/backward_cpu and state kept in between."""

    def forward_cpu(self, inputs):
        x, = inputs
        self.mean = x.mean(axis=0, keepdims=True)
        return np.concatenate([x, np.broadcast_to(self.mean, x.shape)], axis=1),

    def backward_cpu(self, inputs, grad_outputs):
        gy, = grad_outputs
        n = inputs[0].shape[1]
        return gy[:, :n] + gy[:, n:].mean(axis=0, keepdims=True),


class InstanceNorm(function_node.FunctionNode):
    def __init__(self, eps=2e-5):
        self.eps = eps

    def check_type_forward(self, in_types):
        x_type, gamma_type = in_types
        type_check.expect(x_type.dtype == gamma_type.dtype, x_type.shape[1] == gamma_type.shape[0])

    def forward(self, inputs):
        self.retain_inputs((0, 1))
        x, gamma = inputs
        mean = x.mean(axis=(2, 3), keepdims=True)
        var = x.var(axis=(2, 3), keepdims=True) + x.dtype.type(self.eps)
        return gamma[None, :, None, None] * (x - mean) / np.sqrt(var),

    def backward(self, indexes, gy):
        x, gamma = self.get_retained_inputs()
        mean = F.broadcast_to(F.mean(x, axis=(2, 3), keepdims=True), x.shape)
        centred = x - mean
        var = F.mean(centred ** 2, axis=(2, 3), keepdims=True) + self.eps
        std = F.broadcast_to(F.sqrt(var), x.shape)
        xhat = centred / std
        ggamma = F.sum(gy[0] * xhat, axis=(0, 2, 3))
        g = gy[0] * F.broadcast_to(F.reshape(gamma, (1, -1, 1, 1)), x.shape)
        m1 = F.broadcast_to(F.mean(g, axis=(2, 3), keepdims=True), x.shape)
        m2 = F.broadcast_to(F.mean(g * xhat, axis=(2, 3), keepdims=True), x.shape)
        return (g - m1 - xhat * m2) / std, ggamma


class Net(chainer.Chain):
    def __init__(self):
        super(Net, self).__init__(c=L.Convolution2D(3, 4, 3, pad=1), l=L.Linear(8, 1))
        self.add_param('gamma', (4,), initializer=1)

    def __call__(self, x):
        h, = InstanceNorm().apply((self.c(x), self.gamma))
        h = F.sum(StraightSign()(h) * h, axis=(2, 3))
        return self.l(Minibatch()(h))


if __name__ == '__main__':
    np.random.seed(5)
    net = Net()
    opt = chainer.optimizers.RMSprop(lr=1e-3)
    opt.setup(net)
    x = np.random.normal(size=(4, 3, 6, 6)).astype('f')
    losses = []
    for _ in range(3):
        loss = F.mean_squared_error(net(x), np.ones((4, 1), 'f'))
        net.cleargrads()
        loss.backward()
        opt.update()
        losses.append(float(loss.data))
    v = chainer.Variable(x)
    gamma = chainer.Variable(np.arange(1, 4, dtype='f'))
    y, = InstanceNorm().apply((v, gamma))
    gx, = chainer.grad([F.sum(y ** 3)], [v], enable_double_backprop=True)
    F.sum(gx ** 2).backward()
    losses += [float((v.grad ** 2).sum()), float(gamma.grad.sum())]
    for wrong in (np.zeros((2, 3), 'i'), np.zeros((), 'f')):
        try:
            StraightSign()(wrong)
        except type_check.InvalidType:
            losses.append(0.0)
    print(json.dumps(losses))
