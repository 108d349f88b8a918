// The table of picture formats: see pixel.h.
#define _GNU_SOURCE
#include "pixel.h"

#include <linux/videodev2.h>
#include <string.h>

struct pixel {
    const char *name;
    uint32_t fourcc;
    /// Bits of a pixel in the whole picture, and in the first plane; 0 for compressed formats.
    uint8_t bits, line_bits;
    const char *description;
};

static const struct pixel pixels[] = {
    {"mjpeg", V4L2_PIX_FMT_MJPEG, 0, 0, "Motion-JPEG"},
    {"h264", V4L2_PIX_FMT_H264, 0, 0, "H.264"},
    {"h265", V4L2_PIX_FMT_HEVC, 0, 0, "HEVC"},
    {"vp8", V4L2_PIX_FMT_VP8, 0, 0, "VP8"},
    {"yuy2", V4L2_PIX_FMT_YUYV, 16, 16, "YUYV 4:2:2"},
    {"uyvy", V4L2_PIX_FMT_UYVY, 16, 16, "UYVY 4:2:2"},
    {"nv12", V4L2_PIX_FMT_NV12, 12, 8, "Y/UV 4:2:0"},
    {"nv21", V4L2_PIX_FMT_NV21, 12, 8, "Y/VU 4:2:0"},
    {"i420", V4L2_PIX_FMT_YUV420, 12, 8, "Planar YUV 4:2:0"},
    {"yv12", V4L2_PIX_FMT_YVU420, 12, 8, "Planar YVU 4:2:0"},
    {"m420", V4L2_PIX_FMT_M420, 12, 8, "YUV 4:2:0 (M420)"},
    {"grey", V4L2_PIX_FMT_GREY, 8, 8, "8-bit Greyscale"},
    {"y10", V4L2_PIX_FMT_Y10, 16, 16, "10-bit Greyscale"},
    {"y12", V4L2_PIX_FMT_Y12, 16, 16, "12-bit Greyscale"},
    {"y16", V4L2_PIX_FMT_Y16, 16, 16, "16-bit Greyscale"},
    {"y8i", V4L2_PIX_FMT_Y8I, 16, 16, "Interleaved 8-bit Greyscale"},
    {"y12i", V4L2_PIX_FMT_Y12I, 24, 24, "Interleaved 12-bit Greyscale"},
    {"z16", V4L2_PIX_FMT_Z16, 16, 16, "16-bit Depth"},
    {"inzi", V4L2_PIX_FMT_INZI, 32, 32, "Planar 10:16 Greyscale Depth"},
    {"bggr8", V4L2_PIX_FMT_SBGGR8, 8, 8, "8-bit Bayer BGBG/GRGR"},
    {"gbrg8", V4L2_PIX_FMT_SGBRG8, 8, 8, "8-bit Bayer GBGB/RGRG"},
    {"grbg8", V4L2_PIX_FMT_SGRBG8, 8, 8, "8-bit Bayer GRGR/BGBG"},
    {"rggb8", V4L2_PIX_FMT_SRGGB8, 8, 8, "8-bit Bayer RGRG/GBGB"},
    {"bggr16", V4L2_PIX_FMT_SBGGR16, 16, 16, "16-bit Bayer BGBG/GRGR"},
    {"gbrg16", V4L2_PIX_FMT_SGBRG16, 16, 16, "16-bit Bayer GBGB/RGRG"},
    {"grbg16", V4L2_PIX_FMT_SGRBG16, 16, 16, "16-bit Bayer GRGR/BGBG"},
    {"rggb16", V4L2_PIX_FMT_SRGGB16, 16, 16, "16-bit Bayer RGRG/GBGB"},
    {"rgb565", V4L2_PIX_FMT_RGB565, 16, 16, "16-bit RGB 5-6-5"},
    {"bgr24", V4L2_PIX_FMT_BGR24, 24, 24, "24-bit BGR 8-8-8"},
    {"bgr32", V4L2_PIX_FMT_XBGR32, 32, 32, "32-bit BGRX 8-8-8-8"},
    {"rgb24", V4L2_PIX_FMT_RGB24, 24, 24, "24-bit RGB 8-8-8"},
};

static const struct pixel *find(uint32_t fourcc) {
    for (size_t index = 0; index < sizeof pixels / sizeof *pixels; index++) {
        if (pixels[index].fourcc == fourcc) return &pixels[index];
    }
    return NULL;
}

uint32_t pixel_fourcc(const char *name) {
    for (size_t index = 0; index < sizeof pixels / sizeof *pixels; index++) {
        if (!strcmp(pixels[index].name, name)) return pixels[index].fourcc;
    }
    return 0;
}

const char *pixel_description(uint32_t fourcc) {
    const struct pixel *pixel = find(fourcc);
    return pixel ? pixel->description : "";
}

int pixel_is_compressed(uint32_t fourcc) {
    const struct pixel *pixel = find(fourcc);
    return !pixel || pixel->bits == 0;
}

uint32_t pixel_line(uint32_t fourcc, uint32_t width) {
    const struct pixel *pixel = find(fourcc);
    return pixel ? (uint32_t)((uint64_t)width * pixel->line_bits / 8) : 0;
}

uint32_t pixel_size(uint32_t fourcc, uint32_t width, uint32_t height) {
    const struct pixel *pixel = find(fourcc);
    // A compressed picture that takes more than two bytes a pixel and the tables would be no
    // compressed picture.
    uint64_t bits = pixel && pixel->bits ? pixel->bits : 16;
    uint64_t size = (uint64_t)width * height * bits / 8 + (pixel && pixel->bits ? 0 : 64 << 10);
    return size > INT32_MAX ? INT32_MAX : (uint32_t)size;
}
