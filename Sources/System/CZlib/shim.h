// zlib, of which CRC-32 and whole buffers are used (compress2).
#pragma once
#include <zlib.h>
