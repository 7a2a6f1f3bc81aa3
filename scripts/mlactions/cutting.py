"""Make a report fit: rows, items and lines of a log go, as many as must."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from mlactions.escaping import printable
from mlactions.report import Block, Details, Items, Listing, Table


def longest(build: Callable[[int], str], limit: int) -> str | None:
    """Return `build(rows)` for the largest number of rows that fits, None where not even 0 does."""
    best, rows = None, 0
    while len(text := build(rows)) <= limit:
        best, rows = text, max(1, rows * 2)
    low, high = rows // 2, rows
    while high - low > 1:
        middle = (low + high) // 2
        text = build(middle)
        if len(text) <= limit:
            best, low = text, middle
        else:
            high = middle
    return best


def cut(blocks: Iterable[Block], rows: int | None, folded: int) -> tuple[Block, ...]:
    """Keep so many rows of each block: `rows` in the open (None: all), `folded` in a fold."""
    return tuple(_cut_block(block, rows, folded) for block in blocks)


def _cut_block(block: Block, rows: int | None, folded: int) -> Block:
    if isinstance(block, Details):
        inner = rows if block.open else folded
        return replace(block, blocks=cut(block.blocks, inner, folded))
    if rows is None:
        return block
    if isinstance(block, Table) and len(block.rows) > rows:
        left = len(block.rows) - rows
        more = (f"… {left:,} more row{'s' if left > 1 else ''}",)
        filler = ("",) * (len(block.columns) - 1)
        return replace(block, rows=(*block.rows[:rows], (*more, *filler)))
    if isinstance(block, Items) and len(block.items) > rows:
        return Items((*block.items[:rows], f"… {len(block.items) - rows:,} more"))
    if isinstance(block, Listing):
        return _cut_listing(block, rows)
    return block


def _cut_listing(block: Listing, rows: int) -> Listing:
    """Keep a log's last lines: that is where it says why."""
    lines = printable(block.text).rstrip().split("\n")
    if len(lines) <= rows:
        return block
    kept = lines[len(lines) - rows :]
    return replace(block, text="\n".join([f"… {len(lines) - rows:,} lines before", *kept]))
