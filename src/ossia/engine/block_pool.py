"""Blocks of the paged KV cache, counted: who holds which, and which are free.

A block is a number; what it stores (64 tokens of K and V in every layer of its group) is the model's
business. Two kinds of holders are told apart: sequences, and the prefix cache, whose references can be
dropped whenever somebody needs the room.
"""


class BlockPool:
    """`num_blocks` blocks with reference counts; a block without references is free."""

    def __init__(self, num_blocks: int) -> None:
        assert num_blocks >= 1, f"a pool needs a block, not {num_blocks}"
        self.num_blocks = num_blocks
        self._held = [0] * num_blocks  # references by sequences
        self._cached = [0] * num_blocks  # references by the prefix cache
        # A stack, lowest number on top: memory that was touched is used again before fresh pages are.
        self._free = list(range(num_blocks - 1, -1, -1))
        self._in_use = 0  # blocks some sequence holds

    @property
    def free(self) -> int:
        """Blocks nobody holds."""
        return len(self._free)

    @property
    def available(self) -> int:
        """Blocks no sequence holds: free now, or free once the prefix cache lets go of them."""
        return self.num_blocks - self._in_use

    @property
    def in_use(self) -> int:
        """Blocks at least one sequence holds."""
        return self._in_use

    def references(self, block: int) -> int:
        """How many hold `block`."""
        return self._held[block] + self._cached[block]

    def allocate(self) -> int | None:
        """A free block, held once by a sequence; None where there is none."""
        if not self._free:
            return None
        block = self._free.pop()
        self._held[block] = 1
        self._in_use += 1
        return block

    def share(self, block: int, *, cached: bool = False) -> None:
        """One more reference to a block that has some, by a sequence or (`cached`) by the prefix cache."""
        assert self.references(block) > 0, f"block {block} is free and cannot be shared"
        if cached:
            self._cached[block] += 1
            return
        self._in_use += self._held[block] == 0
        self._held[block] += 1

    def release(self, block: int, *, cached: bool = False) -> None:
        """Give one reference back; the last one frees the block."""
        counts = self._cached if cached else self._held
        assert counts[block] > 0, f"block {block} was released once too often"
        counts[block] -= 1
        if not cached:
            self._in_use -= counts[block] == 0
        if self.references(block) == 0:
            self._free.append(block)
