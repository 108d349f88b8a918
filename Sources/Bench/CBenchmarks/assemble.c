// A minimal assembler: header length, FID, EOF, a bound, one memcpy a packet.
#include "CBenchmarks.h"
#include <string.h>

int cbenchmarks_assemble(
    struct cbenchmarks_frame *frame, const uint8_t *bytes, const struct cbenchmarks_packet *packets, int count) {
    int ended = 0;
    for (int i = 0; i < count; i++) {
        const uint8_t *payload = bytes + packets[i].offset;
        uint32_t length = packets[i].length;
        if (packets[i].status != 0 || length < 2 || payload[0] < 2 || payload[0] > length) continue;
        if ((payload[1] & 1) != frame->frame_id) {
            if (frame->length > 0) ended++;
            frame->length = 0;
            frame->frame_id = payload[1] & 1;
        }
        uint32_t data = length - payload[0];
        if (data > frame->capacity - frame->length) data = frame->capacity - frame->length;
        memcpy(frame->bytes + frame->length, payload + payload[0], data);
        frame->length += data;
        if (payload[1] & 2 && frame->length > 0) {
            ended++;
            frame->length = 0;
            frame->frame_id ^= 1;
        }
    }
    return ended;
}
