// libusb-1.0 for Swift, with what Swift can't reach by itself: variadic calls and a flexible array.
#pragma once
#include <libusb-1.0/libusb.h>

/// `libusb_set_option` is variadic; this sets an option that takes no argument.
static inline int clibusb_set_option(libusb_context *context, enum libusb_option option) {
    return libusb_set_option(context, option);
}

/// A context that looks for no devices: it opens no file and starts no monitor, and handles descriptors that others opened.
/// libusb before 1.0.27 knows this for the process only: no later context of it finds devices either.
static inline int clibusb_init_without_discovery(libusb_context **context) {
#if LIBUSB_API_VERSION >= 0x0100010A
    struct libusb_init_option options[1] = {{.option = LIBUSB_OPTION_NO_DEVICE_DISCOVERY}};
    return libusb_init_context(context, options, 1);
#else
    int result = libusb_set_option(NULL, LIBUSB_OPTION_NO_DEVICE_DISCOVERY);
    return result < 0 ? result : libusb_init(context);
#endif
}

/// Whether the above holds for the whole process.
static inline int clibusb_discovery_is_per_process(void) { return LIBUSB_API_VERSION < 0x0100010A; }

/// `iso_packet_desc` is a flexible array member; this is its first element, of `num_iso_packets`.
static inline struct libusb_iso_packet_descriptor *clibusb_iso_packets(struct libusb_transfer *transfer) {
    return transfer->iso_packet_desc;
}

/// NULL where `index` is out of range.
static inline struct libusb_iso_packet_descriptor *clibusb_iso_packet(struct libusb_transfer *transfer, int index) {
    if (index < 0 || index >= transfer->num_iso_packets) return NULL;
    return &transfer->iso_packet_desc[index];
}
