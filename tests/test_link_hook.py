import threading

import pytest

from minigan.link import Chain, Link
from minigan.link_hook import LinkHook


class Double(Link):
    def forward(self, x, times=2):
        return x * times


class Twice(Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.inner = Double()

    def forward(self, x):
        return self.inner(x, times=3)


class Diary(LinkHook):
    def __init__(self, name, lines):
        self.name, self.lines = name, lines

    def added(self, link):
        self.lines.append((self.name, "added", link))

    def deleted(self, link):
        self.lines.append((self.name, "deleted", link))

    def forward_preprocess(self, args):
        assert not hasattr(args, "out")
        self.lines.append((self.name, "before", args.link, args.forward_name, args.args, args.kwargs))

    def forward_postprocess(self, args):
        self.lines.append((self.name, "after", args.link, args.out))


def test_a_thread_hook_sees_every_link_inside_out():
    lines, link = [], Twice()
    with Diary("a", lines) as hook:
        assert link(2) == 6
        assert hook.name == "a"
    link(2)
    assert lines == [
        ("a", "added", None),
        ("a", "before", link, "forward", (2,), {}),
        ("a", "before", link.inner, "forward", (2,), {"times": 3}),
        ("a", "after", link.inner, 6),
        ("a", "after", link, 6),
        ("a", "deleted", None),
    ]


def test_a_local_hook_sees_its_link_after_the_hooks_of_the_thread():
    lines, link = [], Twice()
    hook = Diary("local", lines)
    assert link.inner.add_hook(hook) is link.inner
    assert link.inner.local_link_hooks == {"local": hook} and link.local_link_hooks == {}
    with Diary("thread", lines):
        link(1)
    assert [line[:2] for line in lines if line[2] is link.inner] == [
        ("local", "added"), ("thread", "before"), ("local", "before"), ("thread", "after"), ("local", "after"),
    ]  # fmt: skip
    link.inner.delete_hook("local")
    assert lines[-1] == ("local", "deleted", link.inner) and link.inner.local_link_hooks == {}


def test_names_and_kinds_are_checked():
    link = Double()
    link.add_hook(LinkHook()).add_hook(LinkHook(), name="second")
    assert list(link.local_link_hooks) == ["LinkHook", "second"]
    with pytest.raises(KeyError, match="LinkHook"):
        link.add_hook(LinkHook())
    with pytest.raises(TypeError, match="LinkHook"):
        link.add_hook(print)
    with pytest.raises(KeyError, match="nothing"):
        link.delete_hook("nothing")
    with LinkHook(), pytest.raises(KeyError, match="LinkHook"), LinkHook():
        pass


def test_the_hook_goes_after_an_error_and_belongs_to_its_thread():
    lines, link = [], Twice()
    with pytest.raises(TypeError), Diary("a", lines):
        link(None)
    assert lines[-1] == ("a", "deleted", None)
    lines.clear()
    with Diary("a", lines):
        thread = threading.Thread(target=link, args=(1,))
        thread.start()
        thread.join()
    assert lines == [("a", "added", None), ("a", "deleted", None)]
