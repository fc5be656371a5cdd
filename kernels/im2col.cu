// Windows of images as columns of a matrix, and back, for images whose memory is channel by channel.
//
//   col (C, KH, KW, n, oh, ow):  col[c, u, v, i, oy, ox] = x[i, c, oy SH + u DH - ph, ox SW + v DW - pw], 0 outside
//
// Compiled for one kernel size (KH, KW), stride (SH, SW), dilation (DH, DW), STORE = float, double or Half, and REAL, in
// which these are added up. STEPH and STEPW are SH / gcd(SH, DH) and SW / gcd(SW, DW): every so many taps the same pixel
// is met again. n images from number `first` on are done at a time, so that their col stays in the L2 cache: n oh ow and
// n h w fit an int, offsets into the whole arrays have 64 bits.
// variant: REAL=double STORE=double KH=3 KW=3 SH=1 SW=1 DH=1 DW=1 STEPH=1 STEPW=1
// variant: REAL=float STORE=float KH=3 KW=2 SH=2 SW=4 DH=2 DW=3 STEPH=1 STEPW=4
// variant: REAL=float STORE=float KH=1 KW=100 SH=1 SW=2 DH=1 DW=1 STEPH=1 STEPW=2
// variant: REAL=float STORE=float KH=7 KW=9 SH=1 SW=1 DH=1 DW=1 STEPH=1 STEPW=1
// variant: STORE=Half
// any: KH KW SH SW DH DW STEPH STEPW

#ifndef KH
#define REAL float
#define STORE float
#define KH 4
#define KW 4
#define SH 2
#define SW 2
#define DH 1
#define DW 1
#define STEPH 2
#define STEPW 2
#endif
#include "half.h"

#define THREADS 256
#if KH * KW <= 64 && KH <= 9 && KW <= 9  // longer rows would take more registers
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif

// The windows of images first .. first + n - 1. Grid (ceil(n oh ow / 256), C): a thread has one window of one channel and
// writes its KH KW numbers, each as part of a row of col that 32 neighbours fill together: 4 sectors of 32 bytes a request,
// the least there is. It reads pixels SW apart, whose sectors the next taps find in L1. Bytes: x once, col once.
// Pixel (y, x) of channel c of image i is at i image + c channel + y w + x.
extern "C" __global__ void __launch_bounds__(THREADS)
im2col(const STORE* __restrict__ x, STORE* __restrict__ col, int first, int n, int h, int w, int oh, int ow, int ph,
       int pw, long long image, long long channel)
{
    const int count = n * oh * ow, q = blockIdx.x * THREADS + threadIdx.x;
    if (q >= count) return;
    const int left = q % ow * SW - pw, top = q / ow % oh * SH - ph, i = first + q / ow / oh;
    const STORE* plane = x + i * image + blockIdx.y * channel;
    STORE* out = col + (long long)blockIdx.y * KH * KW * count + q;
    UNROLL
    for (int u = 0; u < KH; ++u) {
        const int iy = top + u * DH;
        const bool inside = iy >= 0 && iy < h;
        UNROLL
        for (int v = 0; v < KW; ++v) {
            const int ix = left + v * DW;
            *out = inside && ix >= 0 && ix < w ? plane[iy * w + ix] : (STORE)0;
            out += count;
        }
    }
}

// The first tap that meets the pixel at t >= 0, counted from the start of the padding; beyond every kernel if none does.
__device__ __forceinline__ int first_tap(int t, int stride, int dilate, int step)
{
    if (dilate == 1) return t % stride;
    for (int u = 0; u < step; ++u)
        if ((t - u * dilate) % stride == 0) return u;
    return 1 << 20;
}

// The sum of all elements of col that hold this pixel, taps in ascending order: no atomics, the same bits every time.
__device__ __forceinline__ REAL gathered(const STORE* __restrict__ col, int p, int n, int h, int w, int oh, int ow, int ph,
                                         int pw)
{
    const int tx = p % w + pw, ty = p / w % h + ph, i = p / w / h, count = n * oh * ow;
    const int u0 = first_tap(ty, SH, DH, STEPH), v0 = first_tap(tx, SW, DW, STEPW);
    const STORE* channel = col + (long long)blockIdx.y * KH * KW * count + i * oh * ow;
    REAL sum = 0;
    UNROLL
    for (int a = 0; a < (KH + STEPH - 1) / STEPH; ++a) {
        const int u = u0 + a * STEPH, y = ty - u * DH, oy = y / SH;
        if (u >= KH || y < 0 || oy >= oh) continue;
        UNROLL
        for (int b = 0; b < (KW + STEPW - 1) / STEPW; ++b) {
            const int v = v0 + b * STEPW, x = tx - v * DW, ox = x / SW;
            if (v >= KW || x < 0 || ox >= ow) continue;
            sum += get(channel[(long long)(u * KW + v) * count + oy * ow + ox]);
        }
    }
    return sum;
}

// The transpose: y (C, images, h, w), images first .. first + n - 1 of it filled. Grid (ceil(n h w / 256), C): a thread
// has one pixel and visits only the taps that meet it, (KH / SH) (KW / SW) of them. Bytes: col once, y once.
extern "C" __global__ void __launch_bounds__(THREADS)
col2im(const STORE* __restrict__ col, STORE* __restrict__ y, int first, int images, int n, int h, int w, int oh, int ow,
       int ph, int pw)
{
    const int p = blockIdx.x * THREADS + threadIdx.x;
    if (p >= n * h * w) return;
    put(y[((long long)blockIdx.y * images + first) * h * w + p], gathered(col, p, n, h, w, oh, ow, ph, pw));
}

// The same, plus bias[c]; then tanh of it if `curved`, else slope times what is negative: slope 1 changes nothing, and 0 is
// max(y, 0).
extern "C" __global__ void __launch_bounds__(THREADS)
col2im_bias(const STORE* __restrict__ col, const STORE* __restrict__ bias, STORE* __restrict__ y, int first, int images,
            int n, int h, int w, int oh, int ow, int ph, int pw, bool curved, REAL slope)
{
    const int p = blockIdx.x * THREADS + threadIdx.x;
    if (p >= n * h * w) return;
    const REAL sum = gathered(col, p, n, h, w, oh, ow, ph, pw) + get(bias[blockIdx.y]);
    put(y[((long long)blockIdx.y * images + first) * h * w + p],
        curved ? tanh(sum) : sum < 0 ? slope == 0 ? 0 : sum * slope : sum);
}
