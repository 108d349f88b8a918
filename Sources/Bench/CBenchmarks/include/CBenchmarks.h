// The yardstick for payload assembly: the least that a C program has to do.
#pragma once
#include <stdint.h>

struct cbenchmarks_packet {
    uint32_t offset, length;
    int32_t status;
};

struct cbenchmarks_frame {
    uint8_t *bytes;
    uint32_t capacity, length;
    int frame_id;
};

/// One isochronous transfer's packets, appended to the frame in the making. How many frames ended.
int cbenchmarks_assemble(
    struct cbenchmarks_frame *frame, const uint8_t *bytes, const struct cbenchmarks_packet *packets, int count);
