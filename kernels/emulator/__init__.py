"""CUDA kernels without a GPU: the same .cu file, compiled for the processor, run on NumPy arrays and checked.

    program = Program("scale.cu", constants={"WIDTH": 4}, mode="check")
    program.launch("scale", grid=4, block=256, args=[In(x), Out(y), np.float32(2), np.int32(x.size)])

A block's threads take turns on one thread of the system, so a launch is deterministic. In mode "check" every load and
store is looked at: `KernelFault` says what went wrong in which line, `program.accesses` what each line costs in memory.
"""

from minigan.kernels.emulator.harness import HarnessError, Launch, check, default_harness
from minigan.kernels.emulator.program import Access, Fault, In, InOut, KernelFault, Out, Program
from minigan.kernels.emulator.translate import toolchain
from minigan.kernels.source import CompileError

__all__ = [
    "Access", "CompileError", "Fault", "HarnessError", "In", "InOut", "KernelFault", "Launch", "Out", "Program",
    "check", "default_harness", "toolchain",
]  # fmt: skip
