import numpy as np
import pytest

from minigan.dataset import DatasetMixin, Iterator


class Tens(DatasetMixin):
    def __len__(self):
        return 5

    def get_example(self, i):
        return i * 10


@pytest.mark.parametrize(
    "index, wanted",
    [
        (0, 0), (-1, -10), (np.int64(2), 20), (np.array(3), 30),
        (slice(1, 4), [10, 20, 30]), (slice(None, None, -1), [40, 30, 20, 10, 0]), (slice(3, 100), [30, 40]),
        ([0, 2], [0, 20]), ([], []), (np.array([1, 3]), [10, 30]),
        (np.array([True, False, True, False, False]), [0, 20]),
    ],
)  # fmt: skip
def test_indices(index, wanted):
    assert Tens()[index] == wanted


def test_a_boolean_index_of_another_length_is_refused():
    with pytest.raises(IndexError, match=r"shape \(2,\) but there are 5"):
        Tens()[np.array([True, False])]


def test_what_a_subclass_forgets_is_named():
    class Empty(DatasetMixin):
        pass

    with pytest.raises(NotImplementedError, match="Empty must define __len__"):
        len(Empty())
    with pytest.raises(NotImplementedError, match="Empty must define get_example"):
        Empty()[0]


def test_iterator_base():
    class Count(Iterator):
        n = 0
        finished = False

        def __next__(self):
            self.n += 1
            if self.n > 3:
                raise StopIteration
            return self.n

        def finalize(self):
            self.finished = True

    with Count() as count:
        assert count.next() == 1
        assert list(count) == [2, 3]
    assert count.finished
    base = Iterator()
    base.finalize()
    base.serialize(None)
    with pytest.raises(NotImplementedError, match="__next__"):
        base.next()
