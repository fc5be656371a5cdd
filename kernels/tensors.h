// Many arrays in one launch: where they lie, by value, since parameters of a kernel may take 4 KB. Each has a block for 4096
// of its numbers. A file that says #include "tensors.h" gets this text in that line.
struct Tensors {
    unsigned long long p[64], g[64], a[64], b[64], c[64], half[64];   // addresses
    int size[64];
    int first[64];                                                    // number of each tensor's first block
};

// The tensor of this block: the last one that begins at it or before.
__device__ __forceinline__ int my_tensor(const Tensors& tensors, int count)
{
    int low = 0, high = count - 1;
    while (low < high) {
        const int middle = (low + high + 1) / 2;
        if (tensors.first[middle] <= (int)blockIdx.x) low = middle; else high = middle - 1;
    }
    return low;
}
