// Picture formats: what we call them, what V4L2 calls them, what they take.
#pragma once
#include <stdint.h>

#pragma GCC visibility push(hidden)

/// 0 where V4L2 has no name for it.
uint32_t pixel_fourcc(const char *name);
const char *pixel_description(uint32_t fourcc);
/// Bytes of a line; 0 for compressed formats.
uint32_t pixel_line(uint32_t fourcc, uint32_t width);
/// Bytes of a picture, for compressed formats the most that one may have.
uint32_t pixel_size(uint32_t fourcc, uint32_t width, uint32_t height);
int pixel_is_compressed(uint32_t fourcc);

#pragma GCC visibility pop
