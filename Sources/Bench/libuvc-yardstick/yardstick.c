// Debian's libuvc beside ours: the same payloads, played to the library as it is installed. This object is its libusb, with one camera whose
// transfers complete as soon as they are submitted; it is looked up in before the real one.
#define _GNU_SOURCE
#include "CBenchmarks.h"
#include <libuvc/libuvc.h>
#include <libusb-1.0/libusb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_TRANSFERS = 256, ENDPOINT = 0x81 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct libusb_transfer *queue[MOST_TRANSFERS];
    unsigned first, queued;
    int open, is_over; // how often the camera is open: also while its name is asked for

    const struct cbenchmarks_libuvc_stream *stream;
    uint64_t next, end;          // payloads, counted over all turns
    uint64_t sent, delivered;    // frames
    int wrong;
    uint64_t began;
    double nanoseconds;
    struct cbenchmarks_meter kernel;
} player = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

// MARK: The camera

static uint8_t control_extra[] = {
    13, 0x24, 0x01, 0x00, 0x01, 26, 0, 0, 0x6c, 0xdc, 0x02, 1, 1, // UVC 1.0, streaming interface 1
};
static uint8_t stream_extra[14 + 27 + 30];
static struct libusb_endpoint_descriptor endpoint = {
    .bLength = 7, .bDescriptorType = LIBUSB_DT_ENDPOINT, .bEndpointAddress = ENDPOINT, .bInterval = 1,
};
static struct libusb_interface_descriptor control_setting = {
    .bLength = 9, .bDescriptorType = LIBUSB_DT_INTERFACE, .bInterfaceClass = 14, .bInterfaceSubClass = 1,
    .extra = control_extra, .extra_length = sizeof control_extra,
};
static struct libusb_interface_descriptor stream_settings[2];
static struct libusb_interface interfaces[2] = {{&control_setting, 1}, {stream_settings, 1}};
static struct libusb_config_descriptor configuration = {
    .bLength = 9, .bDescriptorType = LIBUSB_DT_CONFIG, .bNumInterfaces = 2, .bConfigurationValue = 1, .interface = interfaces,
};

static void put(uint8_t *bytes, uint32_t value, int count) {
    for (int i = 0; i < count; i++) bytes[i] = (uint8_t)(value >> 8 * i);
}

static void describe(const struct cbenchmarks_libuvc_stream *stream) {
    uint8_t *header = stream_extra, *format = header + 14, *frame = format + (stream->is_mjpeg ? 11 : 27);
    memset(stream_extra, 0, sizeof stream_extra);
    memcpy(header, (uint8_t[]){14, 0x24, 0x01, 1, 0, 0, ENDPOINT, 0, 2, 0, 0, 0, 1, 0}, 14);
    if (stream->is_mjpeg) memcpy(format, (uint8_t[]){11, 0x24, 0x06, 1, 1, 1, 1}, 7);
    else memcpy(format, (uint8_t[]){27, 0x24, 0x04, 1, 1, 'Y', 'U', 'Y', '2', 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71, 16, 1}, 23);
    memcpy(frame, (uint8_t[]){30, 0x24, (uint8_t)(stream->is_mjpeg ? 7 : 5), 1}, 4);
    put(frame + 5, stream->width, 2);
    put(frame + 7, stream->height, 2);
    put(frame + 17, stream->capacity, 4);
    put(frame + 21, 333333, 4);
    frame[25] = 1;
    put(frame + 26, 333333, 4);
    uint32_t room = stream->maximum_payload;
    endpoint.bmAttributes = stream->is_bulk ? LIBUSB_TRANSFER_TYPE_BULK : LIBUSB_TRANSFER_TYPE_ISOCHRONOUS;
    endpoint.wMaxPacketSize = (uint16_t)(stream->is_bulk ? 512 : room <= 1024 ? room : (room / 3) | 2 << 11);
    for (int i = 0; i < 2; i++)
        stream_settings[i] = (struct libusb_interface_descriptor){
            .bLength = 9, .bDescriptorType = LIBUSB_DT_INTERFACE, .bInterfaceNumber = 1, .bAlternateSetting = (uint8_t)i,
            .bNumEndpoints = i || stream->is_bulk, .bInterfaceClass = 14, .bInterfaceSubClass = 2, .endpoint = &endpoint,
            .extra = stream_extra, .extra_length = i ? 0 : (int)(frame + 30 - stream_extra),
        };
    interfaces[1].num_altsetting = stream->is_bulk ? 1 : 2;
}

static int device, handle;

int libusb_init(libusb_context **context) { if (context) *context = NULL; return 0; }
void libusb_exit(libusb_context *context) { (void)context; }
ssize_t libusb_get_device_list(libusb_context *context, libusb_device ***list) {
    (void)context;
    if (!(*list = calloc(2, sizeof **list))) return LIBUSB_ERROR_NO_MEM;
    (*list)[0] = (libusb_device *)&device;
    return 1;
}
void libusb_free_device_list(libusb_device **list, int unref) { (void)unref; free(list); }
libusb_device *libusb_ref_device(libusb_device *of) { return of; }
void libusb_unref_device(libusb_device *of) { (void)of; }
uint8_t libusb_get_bus_number(libusb_device *of) { (void)of; return 1; }
uint8_t libusb_get_device_address(libusb_device *of) { (void)of; return 2; }
int libusb_get_device_descriptor(libusb_device *of, struct libusb_device_descriptor *descriptor) {
    (void)of;
    *descriptor = (struct libusb_device_descriptor){
        .bLength = 18, .bDescriptorType = LIBUSB_DT_DEVICE, .bcdUSB = 0x200, .idVendor = 0x1209, .idProduct = 1, .bNumConfigurations = 1};
    return 0;
}
int libusb_get_config_descriptor(libusb_device *of, uint8_t index, struct libusb_config_descriptor **descriptor) {
    (void)of, (void)index;
    *descriptor = &configuration;
    return 0;
}
void libusb_free_config_descriptor(struct libusb_config_descriptor *descriptor) { (void)descriptor; }
int libusb_get_string_descriptor_ascii(libusb_device_handle *of, uint8_t index, unsigned char *text, int length) {
    (void)of, (void)index, (void)text, (void)length;
    return LIBUSB_ERROR_NOT_SUPPORTED;
}
int libusb_open(libusb_device *of, libusb_device_handle **result) {
    (void)of;
    pthread_mutex_lock(&player.lock);
    player.open++;
    pthread_mutex_unlock(&player.lock);
    *result = (libusb_device_handle *)&handle;
    return 0;
}
int libusb_claim_interface(libusb_device_handle *of, int number) { (void)of, (void)number; return 0; }
int libusb_release_interface(libusb_device_handle *of, int number) { (void)of, (void)number; return 0; }
int libusb_attach_kernel_driver(libusb_device_handle *of, int number) { (void)of, (void)number; return 0; }
int libusb_detach_kernel_driver(libusb_device_handle *of, int number) { (void)of, (void)number; return LIBUSB_ERROR_NOT_FOUND; }
int libusb_set_interface_alt_setting(libusb_device_handle *of, int number, int setting) { (void)of, (void)number, (void)setting; return 0; }
int libusb_control_transfer(
    libusb_device_handle *of, uint8_t type, uint8_t request, uint16_t value, uint16_t index, unsigned char *data, uint16_t length,
    unsigned timeout) {
    (void)of, (void)request, (void)value, (void)index, (void)timeout;
    if (type & LIBUSB_ENDPOINT_IN) memset(data, 0, length);
    return length;
}

// MARK: Transfers

struct libusb_transfer *libusb_alloc_transfer(int packets) {
    return calloc(1, sizeof(struct libusb_transfer) + (size_t)packets * sizeof(struct libusb_iso_packet_descriptor));
}
void libusb_free_transfer(struct libusb_transfer *transfer) {
    // libuvc has freed the buffer.
    free(transfer);
}

int libusb_submit_transfer(struct libusb_transfer *transfer) {
    int result = LIBUSB_ERROR_NO_MEM;
    pthread_mutex_lock(&player.lock);
    if (player.queued < MOST_TRANSFERS) {
        transfer->status = LIBUSB_TRANSFER_COMPLETED;
        player.queue[(player.first + player.queued++) % MOST_TRANSFERS] = transfer;
        pthread_cond_signal(&player.changed);
        result = 0;
    }
    pthread_mutex_unlock(&player.lock);
    return result;
}

int libusb_cancel_transfer(struct libusb_transfer *transfer) {
    int result = LIBUSB_ERROR_NOT_FOUND;
    pthread_mutex_lock(&player.lock);
    for (unsigned i = 0; i < player.queued; i++)
        if (player.queue[(player.first + i) % MOST_TRANSFERS] == transfer) {
            transfer->status = LIBUSB_TRANSFER_CANCELLED;
            result = 0;
        }
    pthread_cond_signal(&player.changed);
    pthread_mutex_unlock(&player.lock);
    return result;
}

void libusb_close(libusb_device_handle *of) {
    (void)of;
    pthread_mutex_lock(&player.lock);
    player.open--;
    pthread_cond_broadcast(&player.changed);
    pthread_mutex_unlock(&player.lock);
}

static uint64_t process_time(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/// The next payload, in the kernel's place; counts the frames that have ended.
static uint32_t next_payload(uint8_t *buffer, uint32_t room) {
    if (player.next >= player.end) return 0;
    if (player.next == 0) {
        player.began = process_time();
        player.kernel = (struct cbenchmarks_meter){0, 0};
    }
    const struct cbenchmarks_payload *payload = &player.stream->payloads[player.next++ % player.stream->payload_count];
    uint32_t length = payload->length < room ? payload->length : room;
    uint64_t start = cbenchmarks_ticks();
    memcpy(buffer, payload->bytes, length);
    cbenchmarks_measured(&player.kernel, cbenchmarks_ticks() - start, length);
    if (length >= 2 && payload->bytes[1] & 2) player.sent++;
    return length;
}

static void play(struct libusb_transfer *transfer) {
    transfer->actual_length = 0;
    if (transfer->num_iso_packets == 0) {
        transfer->actual_length = (int)next_payload(transfer->buffer, (uint32_t)transfer->length);
    } else {
        uint8_t *at = transfer->buffer;
        for (int i = 0; i < transfer->num_iso_packets; i++) {
            struct libusb_iso_packet_descriptor *packet = &transfer->iso_packet_desc[i];
            packet->status = LIBUSB_TRANSFER_COMPLETED;
            packet->actual_length = next_payload(at, packet->length);
            at += packet->length;
        }
    }
    transfer->callback(transfer);
    // Its other thread has each frame before the next one, as at a camera's pace.
    pthread_mutex_lock(&player.lock);
    while (player.delivered < player.sent) pthread_cond_wait(&player.changed, &player.lock);
    if (player.next == player.end && !player.is_over) {
        player.nanoseconds = (double)(process_time() - player.began) - cbenchmarks_ticks_to_nanoseconds(player.kernel.ticks);
        player.is_over = 1;
        pthread_cond_broadcast(&player.changed);
    }
    pthread_mutex_unlock(&player.lock);
}

int libusb_handle_events_completed(libusb_context *context, int *completed) {
    (void)context;
    pthread_mutex_lock(&player.lock);
    struct libusb_transfer *transfer = NULL;
    while (!transfer) {
        if (!player.open || (completed && *completed)) break;
        transfer = player.queued ? player.queue[player.first] : NULL;
        if (transfer && player.is_over && transfer->status != LIBUSB_TRANSFER_CANCELLED) transfer = NULL;
        if (!transfer) pthread_cond_wait(&player.changed, &player.lock);
    }
    if (transfer) {
        player.first = (player.first + 1) % MOST_TRANSFERS;
        player.queued--;
    }
    pthread_mutex_unlock(&player.lock);
    if (!transfer) return 0;
    if (transfer->status == LIBUSB_TRANSFER_CANCELLED) transfer->callback(transfer);
    else play(transfer);
    return 0;
}

// MARK: The program

static void take(uvc_frame_t *frame, void *unused) {
    (void)unused;
    const struct cbenchmarks_libuvc_stream *stream = player.stream;
    pthread_mutex_lock(&player.lock);
    if (stream->frames) {
        const struct cbenchmarks_payload *expected = &stream->frames[player.delivered % stream->frame_count];
        if (frame->data_bytes != expected->length || memcmp(frame->data, expected->bytes, expected->length)) player.wrong = 1;
    }
    player.delivered++;
    pthread_cond_broadcast(&player.changed);
    pthread_mutex_unlock(&player.lock);
}

double cbenchmarks_libuvc(const struct cbenchmarks_libuvc_stream *stream, uint32_t turns) {
    describe(stream);
    player.stream = stream;
    player.next = player.sent = player.delivered = 0;
    player.end = (uint64_t)turns * stream->payload_count;
    player.wrong = player.is_over = 0;
    player.first = player.queued = 0;
    uvc_context_t *context = NULL;
    uvc_device_t *camera = NULL;
    uvc_device_handle_t *open = NULL;
    double result = -1;
    uvc_stream_ctrl_t control = {
        .bInterfaceNumber = 1, .bFormatIndex = 1, .bFrameIndex = 1, .dwFrameInterval = 333333, .dwMaxVideoFrameSize = stream->capacity,
        .dwMaxPayloadTransferSize = stream->maximum_payload};
    if (uvc_init(&context, NULL) != UVC_SUCCESS) return result;
    if (uvc_find_device(context, &camera, 0, 0, NULL) == UVC_SUCCESS) {
        if (uvc_open(camera, &open) == UVC_SUCCESS) {
            if (uvc_start_streaming(open, &control, take, NULL, 0) == UVC_SUCCESS) {
                pthread_mutex_lock(&player.lock);
                while (!player.is_over) pthread_cond_wait(&player.changed, &player.lock);
                pthread_mutex_unlock(&player.lock);
                uvc_stop_streaming(open);
                if (!player.wrong) result = player.nanoseconds;
            }
            uvc_close(open);
        }
        uvc_unref_device(camera);
    }
    uvc_exit(context);
    return result;
}
