"""Links own parameters; chains own links; that tree is a model.

A name assigned inside `with self.init_scope():` is registered: a `Parameter` becomes one of the link's parameters, a
`Link` becomes a child. All else walks that tree: optimizers take `params`, files go through `serialize`, and devices
change by `to_device`. A parameter's path, such as `/l1/W`, names it in files and hooks alike.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Iterator, MutableSequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from minigan import initializers
from minigan.backend import copyto, is_array
from minigan.core import Parameter
from minigan.device_resident import DeviceResident, DeviceResidentsVisitor
from minigan.function_hook import register
from minigan.link_hook import LinkHook, _ForwardCallbackArgs, _get_link_hooks
from minigan.serializer import Deserializer

Self = TypeVar("Self", bound="Link")
_MODES = ("share", "copy", "init")


class Link(DeviceResident):
    """A function with parameters of its own, and with persistent values that are saved but not trained.

    Args:
        params: `name=shape` or `name=(shape, dtype)`; None as a shape leaves the parameter uninitialised.
    """

    name: str | None
    _local_link_hooks: dict[str, LinkHook] | None = None

    def __init__(self, **params: Any) -> None:
        self._params: set[str] = set()
        self._persistent: set[str] = set()
        self._within_init_scope = False
        self.name = None
        for name, value in params.items():
            with_dtype = isinstance(value, tuple) and len(value) == 2 and not isinstance(value[1], int | np.integer)
            shape, dtype = value if with_dtype else (value, np.float32)
            self.add_param(name, shape, dtype)

    @classmethod
    def from_params(cls, *args: Any, **kwargs: Any) -> Link:
        """Make a link around arrays that exist already; for the links that define it."""
        raise NotImplementedError(f"{cls.__name__} does not define from_params")

    # Registration

    @property
    def within_init_scope(self) -> bool:
        """True inside `with self.init_scope():`."""
        return self.__dict__.get("_within_init_scope", False)

    @contextmanager
    def init_scope(self) -> Iterator[None]:
        """Parameters (and, in a `Chain`, links) that are assigned to attributes inside the block are registered."""
        self._check_init()
        before = self._within_init_scope
        self._within_init_scope = True
        try:
            yield
        finally:
            self._within_init_scope = before

    def _check_init(self) -> None:
        if "_params" not in self.__dict__:
            raise RuntimeError(f"{type(self).__name__}: Link.__init__ has not run; call super().__init__() first")

    def __setattr__(self, name: str, value: Any) -> None:
        params = self.__dict__.get("_params", ())
        if isinstance(value, Parameter) and (self.within_init_scope or name in params):
            value.name = name
            value.to_device(self._device)
            self._params.add(name)
            self._persistent.discard(name)
        super().__setattr__(name, value)  # a registered name stays one, whatever it holds for a while

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._params.discard(name)
        self._persistent.discard(name)

    def add_param(self, name: str, shape: Any = None, dtype: Any = np.float32, initializer: Any = None) -> None:
        """Register a new parameter. Without an initializer it is filled with NaN; without a shape it waits for one."""
        self._check_free("parameter", name)
        if initializer is None:
            initializer = initializers.NaN(dtype)
        elif np.isscalar(initializer):  # a number, or a name
            initializer = initializers._get_initializer(initializer, dtype)
        with self.init_scope():
            setattr(self, name, Parameter(initializer, shape))

    def add_persistent(self, name: str, value: Any) -> None:
        """Register a new value (array, number or string) that is saved with the parameters."""
        self._check_free("persistent value", name)
        self._persistent.add(name)
        setattr(self, name, self._device.send(value))

    def register_persistent(self, name: str) -> None:
        """Let an attribute that exists already be saved with the parameters."""
        if not hasattr(self, name):
            raise AttributeError(
                f"{type(self).__name__}.register_persistent: there is no attribute {name!r}; assign it first"
            )
        self._persistent.add(name)
        setattr(self, name, self._device.send(getattr(self, name)))

    def _check_free(self, kind: str, name: str) -> None:
        if hasattr(self, name):
            raise AttributeError(
                f"{type(self).__name__}: cannot register a new {kind} {name}: the attribute exists; choose another name"
            )

    # Calling

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call `forward`; a subclass defines `forward` or `__call__`."""
        self._check_init()
        forward = getattr(self, "forward", None)
        if forward is None:
            raise AttributeError(f"{type(self).__name__} cannot be called: it defines neither forward nor __call__")
        hooks = _get_link_hooks()
        if self._local_link_hooks:
            hooks = hooks | self._local_link_hooks
        if not hooks:
            return forward(*args, **kwargs)
        call = _ForwardCallbackArgs(self, "forward", args, kwargs)
        for hook in hooks.values():
            hook.forward_preprocess(call)
        call = _ForwardCallbackArgs(self, "forward", args, kwargs, out=forward(*args, **kwargs))
        for hook in hooks.values():
            hook.forward_postprocess(call)
        return call.out  # type: ignore[attr-defined]

    @property
    def local_link_hooks(self) -> dict[str, LinkHook]:
        """The hooks of this link by name; see `add_hook`."""
        if self._local_link_hooks is None:
            self._local_link_hooks = {}
        return self._local_link_hooks

    def add_hook(self: Self, hook: LinkHook, name: str | None = None) -> Self:
        """Let `hook` watch the calls of this link, under `name` or its own; returns this link."""
        if not isinstance(hook, LinkHook):
            raise TypeError(f"add_hook: got {hook!r}; wanted a LinkHook")
        register(self.local_link_hooks, hook, name, self)
        return self

    def delete_hook(self, name: str) -> None:
        """Take the hook of that name off this link."""
        if name not in self.local_link_hooks:
            raise KeyError(f"delete_hook: hook {name} does not exist; there are {list(self.local_link_hooks)}")
        self.local_link_hooks.pop(name).deleted(self)

    # Walking the tree

    def children(self) -> Iterator[Link]:
        """The links directly below this one."""
        return (child for _, child in self._named_children())

    def _named_children(self) -> Iterator[tuple[str, Link]]:
        return iter(())

    def params(self, include_uninit: bool = True) -> Iterator[Parameter]:
        """Every parameter: this link's by name, then each child's; without the uninitialised ones if so asked."""
        for _, param in self._own_params():
            if include_uninit or param.is_initialized:
                yield param
        for _, child in self._named_children():
            yield from child.params(include_uninit)

    def _own_params(self) -> list[tuple[str, Parameter]]:
        """Those of this link alone. A name whose parameter a hook has replaced, or a script by None, is left out."""
        own = self.__dict__
        return [(name, own[name]) for name in sorted(self._params) if isinstance(own[name], Parameter)]

    def namedparams(self, include_uninit: bool = True) -> Iterator[tuple[str, Parameter]]:
        """`(path, parameter)` in the order of `params`; a path starts with a slash."""
        for name, param in self._own_params():
            if include_uninit or param.is_initialized:
                yield f"/{name}", param
        for name, child in self._named_children():
            for path, param in child.namedparams(include_uninit):
                yield f"/{name}{path}", param

    def links(self, skipself: bool = False) -> Iterator[Link]:
        """This link and every link below it."""
        return (link for _, link in self.namedlinks(skipself))

    def namedlinks(self, skipself: bool = False) -> Iterator[tuple[str, Link]]:
        """`(path, link)` in the order of `links`; this link's own path is `/`."""
        if not skipself:
            yield "/", self
        for name, child in self._named_children():
            yield f"/{name}", child
            for path, link in child.namedlinks(skipself=True):
                yield f"/{name}{path}", link

    def count_params(self) -> int:
        """The number of elements of all parameters; warns of those that have no shape yet."""
        for path, param in self.namedparams():
            if not param.is_initialized:
                warnings.warn(f"count_params: {path} has no shape yet; it is not counted")
        return sum(param.size for param in self.params(include_uninit=False))

    # Gradients and updates

    def cleargrads(self) -> None:
        """Forget all gradients; call it before each backward pass."""
        for param in self.params():
            param.cleargrad()

    def zerograds(self) -> None:
        """Set all gradients to zero; `cleargrads` is quicker."""
        warnings.warn("zerograds: cleargrads is quicker, and does as well", DeprecationWarning, stacklevel=2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # one is enough
            for param in self.params():
                param.zerograd()

    def addgrads(self, link: Link) -> None:
        """Add the gradients of a link of the same structure to those of this one."""
        theirs = dict(link.namedparams())
        for path, param in self.namedparams():
            param.addgrad(_find(theirs, path, self, "addgrads"))

    @property
    def update_enabled(self) -> bool:
        """True if at least one parameter has an update rule that is switched on."""
        return any(param.update_rule is not None and param.update_rule.enabled for param in self.params())

    def enable_update(self) -> None:
        """Let the optimizer update every parameter again."""
        self._switch_updates(True)

    def disable_update(self) -> None:
        """Freeze every parameter: its gradient is computed, but its update rule does nothing."""
        self._switch_updates(False)

    def _switch_updates(self, enabled: bool) -> None:
        for param in self.params():
            if param.update_rule is not None:
                param.update_rule.enabled = enabled

    # Devices

    def device_resident_accept(self, visitor: DeviceResidentsVisitor) -> None:
        """Show `visitor` all that lives on a device: itself, its parameters, its persistent values, its children.

        A link with arrays elsewhere overrides it: `self.x = visitor.visit_array(self.x)`, after `super()`.
        """
        super().device_resident_accept(visitor)
        for _, param in self._own_params():
            visitor.visit_variable(param)
        for name in self._persistent:
            self.__dict__[name] = visitor.visit_array(self.__dict__[name])
        for child in self.children():
            child.device_resident_accept(visitor)

    # Copies

    def copy(self: Self, mode: str = "share") -> Self:
        """A copy of the tree.

        Args:
            mode: `"share"`: new parameters on the same arrays, without gradients; `"copy"`: everything is copied;
                `"init"`: as `"copy"`, then every parameter that has a shape is initialised anew.
        """
        _check_mode("copy", mode)
        if mode == "share":
            return self._share()
        other = copy.deepcopy(self)
        if mode == "init":
            other._draw_again()
        return other

    def _draw_again(self, params: Iterable[Parameter] | None = None) -> None:
        for param in self.params() if params is None else params:
            if param.is_initialized:
                param.cleargrad()
                param.initialize(param.shape)

    def _share(self: Self) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._params, other._persistent = set(self._params), set(self._persistent)
        other.name = None
        for name, param in self._own_params():
            shared = copy.copy(param)
            shared.cleargrad()
            other.__dict__[name] = shared
        return other

    def repeat(self, n_repeat: int, mode: str = "init") -> Sequential:
        """A `Sequential` of `n_repeat` copies of this link (`mode` as in `copy`)."""
        _check_mode("repeat", mode)
        return Sequential(*(self.copy(mode) for _ in range(n_repeat)))

    def copyparams(self, link: Link, copy_persistent: bool = True) -> None:
        """Copy the values of all parameters, and of persistent values, from a link of the same structure.

        A parameter that has no shape yet takes that of the source; a source without a shape is passed over.
        """
        theirs = dict(link.namedlinks())
        for path, mine in self.namedlinks():
            mine._copy_own(_find(theirs, path, self, "copyparams"), path, copy_persistent)

    def _copy_own(self, link: Link, path: str, copy_persistent: bool) -> None:
        for name, param in self._own_params():
            source = _find(link.__dict__, name, self, "copyparams")
            if not source.is_initialized:
                continue
            if not param.is_initialized:
                param.initialize(source.shape)
            if param.shape != source.shape:
                raise ValueError(
                    f"copyparams: {path.rstrip('/')}/{name} has shape {param.shape} but the source has {source.shape}; "
                    "build both links with the same sizes"
                )
            copyto(param.array, source.array)
        for name in sorted(self._persistent) if copy_persistent else ():
            value, source = self.__dict__[name], _find(link.__dict__, name, self, "copyparams")
            if is_array(value):
                copyto(value, source)
            else:
                self.__dict__[name] = copy.deepcopy(source)

    # Files

    def serialize(self, serializer: Any) -> None:
        """Save to, or load from, `serializer` (see `minigan.serializer`): parameters, persistent values, children.

        A parameter without a shape is saved as None; on loading it takes the shape of the stored array.
        """
        for name, param in self._own_params():
            stored = serializer(name, param.array)
            if not param.is_initialized and stored is not None:
                param.initialize(stored.shape)
                copyto(param.array, stored)
            elif stored is None and param.is_initialized and isinstance(serializer, Deserializer):
                warnings.warn(
                    f"{type(self).__name__}: {name} had no shape yet when it was saved; it keeps its present value"
                )
        for name in sorted(self._persistent):
            self.__dict__[name] = serializer(name, self.__dict__[name])
        for name, child in self._named_children():
            child.serialize(serializer[name])

    # Text

    @property
    def printable_specs(self) -> Iterable[tuple[str, Any]]:
        """`(name, value)` of what `str(link)` shows; a subclass gives its sizes."""
        return ()

    def __str__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value}' for name, value in self.printable_specs)})"

    def _lines(self, parts: Iterable[tuple[str, Any]]) -> str:
        text = "".join(f"({name}): {part},\n" for name, part in parts)
        indented = "".join(f"  {line}\n" for line in text.splitlines())
        return f"{type(self).__name__}({chr(10) + indented if indented else ''})"


class Chain(Link):
    """A link with children that are attributes.

    Args:
        links: `name=link`, registered as if assigned inside `init_scope`.
    """

    def __init__(self, **links: Link) -> None:
        super().__init__()
        self._children: set[str] = set()
        for name, link in links.items():
            self.add_link(name, link)

    def __setattr__(self, name: str, value: Any) -> None:
        children = self.__dict__.get("_children", ())
        if isinstance(value, Link) and self.within_init_scope:
            self._check_free("link", name)
            value.name = name
            self._children.add(name)
        elif isinstance(value, Link) and name in children:
            value.name = name
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._children.discard(name)

    def __getitem__(self, name: str) -> Link:
        """The child of that name."""
        if name not in self._children:
            raise AttributeError(
                f"{type(self).__name__}: there is no child {name!r}; the children are {sorted(self._children)}"
            )
        return self.__dict__[name]

    def add_link(self, name: str, link: Link) -> None:
        """Register a new child."""
        self._check_free("link", name)
        _check_link(link, f"{type(self).__name__}.add_link")
        with self.init_scope():
            setattr(self, name, link)

    def _named_children(self) -> Iterator[tuple[str, Link]]:
        own = self.__dict__  # None may stand in the place of a link
        return iter([(name, own[name]) for name in sorted(self._children) if isinstance(own[name], Link)])

    def _draw_again(self, params: Iterable[Parameter] | None = None) -> None:
        super()._draw_again(params)
        for _, child in self._named_children():  # a second time, as Chainer: a seed gives the numbers it gives there
            child._draw_again()

    def _share(self: Self) -> Self:
        other: Any = super()._share()
        other._children = set(self._children)  # type: ignore[attr-defined]
        for name, child in self._named_children():
            other.__dict__[name] = child._share()
            other.__dict__[name].name = name
        return other

    def __str__(self) -> str:
        return self._lines(self._named_children())


class ChainList(Link, MutableSequence):
    """A link with children in a list; their names are their numbers. It is a Python list in every other way."""

    def __init__(self, *links: Link) -> None:
        super().__init__()
        self._children: list[Link] = []
        self.extend(links)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Link) and self.within_init_scope:
            kind = type(self).__name__
            raise TypeError(f"{kind}: a link cannot be registered as an attribute ({name}); append it, or use a Chain")
        super().__setattr__(name, value)

    def add_link(self, link: Link) -> None:
        """Append a child."""
        self.append(link)

    def _number_children(self) -> None:
        for name, child in self._named_children():
            child.name = name

    def __len__(self) -> int:
        return len(self._children)

    def __getitem__(self, index: Any) -> Any:
        """One element, or a list of them for a slice."""
        return self._children[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        value = list(value) if isinstance(index, slice) else value
        for link in value if isinstance(index, slice) else [value]:
            _check_link(link, type(self).__name__)
        self._children[index] = value
        self._number_children()

    def __delitem__(self, index: Any) -> None:
        del self._children[index]
        self._number_children()

    def insert(self, index: int, link: Any) -> None:
        """Insert before position `index`."""
        _check_link(link, type(self).__name__)
        self._children.insert(index, link)
        self._number_children()

    def extend(self, values: Iterable[Any]) -> None:
        """Append each one; nothing is appended if one of them cannot be."""
        self[len(self) :] = values

    def _named_children(self) -> Iterator[tuple[str, Link]]:
        return ((str(i), link) for i, link in enumerate(self._children))

    def _draw_again(self, params: Iterable[Parameter] | None = None) -> None:
        super()._draw_again([param for _, param in self._own_params()])
        for link in self._children:
            link._draw_again()

    def _share(self: Self) -> Self:
        other: Any = super()._share()
        other._children = [link._share() for link in self._children]  # type: ignore[attr-defined]
        other._number_children()
        return other

    def __str__(self) -> str:
        return self._lines(self._named_children())


class Sequential(ChainList):
    """Links and plain functions applied one after another: `y = layers[-1](... layers[1](layers[0](x)))`.

    A layer that returns a tuple passes its elements on as separate arguments. Only links carry a number in paths and
    files. The numbers are Chainer's, whose files must find their layers, and those depend on the order in which the
    layers came: see `insert`.
    """

    def __init__(self, *layers: Callable[..., Any]) -> None:
        super().__init__()
        self._layers: list[Any] = []
        self.extend(layers)

    def __len__(self) -> int:
        return len(self._layers)

    def __getitem__(self, index: Any) -> Any:
        """One layer, or a list of them for a slice."""
        return self._layers[index]

    def __setitem__(self, index: Any, layer: Any) -> None:
        _check_callable(layer)
        index = range(len(self))[index]
        del self[index]
        self.insert(index, layer)

    def __delitem__(self, index: Any) -> None:
        layer = self._layers.pop(index)
        if isinstance(layer, Link):
            del self._children[[child is layer for child in self._children].index(True)]
            self._number_children()

    def insert(self, index: int, layer: Any) -> None:
        """Insert before position `index`.

        A link takes the number behind that of the first link in front of it (not the last, as one would expect), and
        counts the functions in front of that one too: `Sequential(a, b, c)` numbers them 0, 2, 1.
        """
        _check_callable(layer)
        if not -len(self) <= index <= len(self):
            raise IndexError(f"Sequential.insert: index {index} is out of range; there are {len(self)} layers")
        if index < 0:
            index += len(self)
        if isinstance(layer, Link):
            links = [i for i in range(index) if isinstance(self._layers[i], Link)]
            self._children.insert(links[0] + 1 if links else min(index, 1), layer)
            self._number_children()
        self._layers.insert(index, layer)

    def extend(self, sequential: Iterable[Any]) -> None:
        """Append each one; nothing is appended if one of them cannot be."""
        layers = list(sequential)
        for layer in layers:
            _check_callable(layer)
        for layer in layers:
            self.append(layer)

    def _share(self: Self) -> Self:
        other: Any = super()._share()
        this: Any = self
        copies = {id(link): shared for link, shared in zip(this._children, other._children, strict=True)}
        other._layers = [copies.get(id(layer), layer) for layer in this._layers]
        return other

    def forward(self, *x: Any) -> Any:
        """Apply the layers in order."""
        if not self._layers:
            raise RuntimeError("Sequential: there is no layer to apply; append one first")
        for layer in self._layers:
            y = layer(*x)
            x = y if isinstance(y, tuple) else (y,)
        return y

    def __add__(self, other: Any) -> Sequential:
        return Sequential(*self, *_check_sequential(other))

    def __iadd__(self, other: Any) -> Sequential:
        self.extend(_check_sequential(other))
        return self

    def __getstate__(self) -> dict[str, Any]:
        if any(getattr(layer, "__name__", "") == "<lambda>" for layer in self._layers):
            raise ValueError("Sequential: a layer is a lambda, which cannot be pickled; use functools.partial or def")
        return self.__dict__

    def __deepcopy__(self, memo: dict) -> Sequential:
        other = type(self).__new__(type(self))
        memo[id(self)] = other
        other.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return other

    def flatten(self) -> Sequential:
        """A new `Sequential` of the same layers in which nested ones are laid out flat."""
        flat: list[Any] = []
        for layer in self._layers:
            flat.extend(layer.flatten() if isinstance(layer, Sequential) else [layer])
        return Sequential(*flat)

    def count_by_layer_type(self, type_name: str) -> int:
        """How many layers are of the class, or are the function, called `type_name`."""
        return sum(_is_called(layer, type_name) for layer in self._layers)

    def remove_by_layer_type(self, type_name: str) -> None:
        """Remove the layers that are of the class, or are the function, called `type_name`."""
        for index in reversed(range(len(self))):
            if _is_called(self._layers[index], type_name):
                del self[index]

    def __str__(self) -> str:
        return self._lines((str(i), layer) for i, layer in enumerate(self._layers))


def _check_callable(layer: Any) -> None:
    if not callable(layer):
        raise ValueError(f"Sequential: a layer is {layer!r}, which is not callable; pass links and functions")


def _check_sequential(other: Any) -> Sequential:
    if not isinstance(other, Sequential):
        raise ValueError(f"Sequential: cannot add a {type(other).__name__}; only another Sequential, or use extend")
    return other


def _is_called(layer: Any, type_name: str) -> bool:
    return type_name in (type(layer).__name__, getattr(layer, "__name__", None))


def _check_link(link: Any, where: str) -> None:
    if not isinstance(link, Link):
        raise TypeError(f"{where}: {link!r} is not a Link; functions can stand in a Sequential only")


def _check_mode(where: str, mode: str) -> None:
    if mode not in _MODES:
        raise ValueError(f"{where}: mode is {mode!r} but must be one of {', '.join(map(repr, _MODES))}")


def _find(items: dict[str, Any], name: str, link: Link, where: str) -> Any:
    if name not in items:
        raise KeyError(f"{where}: the source has no {name!r}; it must have the structure of this {type(link).__name__}")
    return items[name]
