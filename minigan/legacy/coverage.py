"""The table of what is covered: every public name of Chainer 7.8.1, whether minigan has it, and what differs."""

from __future__ import annotations

import textwrap

from minigan.legacy import alias, notes


def rows() -> list[tuple[str, str, bool, str]]:
    """Module, name, whether it is there, note: for every public name of Chainer's."""
    found = []
    for path, names in alias.SURFACE.items():
        for name in names:
            there = alias.exists(path) and alias.find(path, name) is not alias.MISSING
            note = notes.difference(path, name) if there else notes.reason(path, name)
            found.append((path, name, there, note))
    return found


def table() -> str:
    """The table as text, with counts at the end."""
    lines, every = [], rows()
    for path in alias.SURFACE:
        here = [row for row in every if row[0] == path]
        if not here:
            continue
        yes = [name for _, name, there, _ in here if there]
        lines.append(f"{path}: {len(yes)} of {len(here)}")
        lines += textwrap.wrap(" ".join(yes), 110, initial_indent="    yes  ", subsequent_indent="         ")
        absent: dict[str, list[str]] = {}
        for _, name, there, note in here:
            if not there:
                absent.setdefault(note, []).append(name)
        for note, names in absent.items():
            text = " ".join([*names, f"({note})"])
            lines += textwrap.wrap(text, 110, initial_indent="    no   ", subsequent_indent="         ")
        lines += [f"    note {name}: {note}" for _, name, there, note in here if there and note]
    count = sum(there for _, _, there, _ in every)
    return "\n".join([*lines, "", f"{count} of {len(every)} names are there."])
