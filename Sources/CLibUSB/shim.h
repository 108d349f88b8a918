// libusb-1.0 for Swift, with the two things that Swift can't reach by itself: a variadic call and a flexible array.
#pragma once
#include <libusb-1.0/libusb.h>

/// `libusb_set_option` is variadic; this sets an option that takes no argument.
static inline int clibusb_set_option(libusb_context *context, enum libusb_option option) {
    return libusb_set_option(context, option);
}

/// `iso_packet_desc` is a flexible array member. NULL where `index` is out of range.
static inline struct libusb_iso_packet_descriptor *clibusb_iso_packet(struct libusb_transfer *transfer, int index) {
    if (index < 0 || index >= transfer->num_iso_packets) return NULL;
    return &transfer->iso_packet_desc[index];
}
