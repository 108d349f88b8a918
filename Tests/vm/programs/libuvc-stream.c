// Streams from the first camera with Debian's libuvc: libuvc-stream yuyv|mjpeg WIDTH HEIGHT FPS FRAMES. Prints how many frames came and of
// how many bytes. Ends without uvc_stop_streaming, which hangs in libuvc 0.0.6 now and then.
#include <errno.h>
#include <libuvc/libuvc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t news = PTHREAD_COND_INITIALIZER;
static int frames;
static size_t bytes;
static int empty;

static void take(uvc_frame_t *frame, void *unused) {
    (void)unused;
    pthread_mutex_lock(&lock);
    frames++;
    bytes += frame->data_bytes;
    if (frame->data_bytes == 0) empty++;
    pthread_cond_signal(&news);
    pthread_mutex_unlock(&lock);
}

static void fail(const char *what, uvc_error_t error) {
    printf("%s: %s\n", what, uvc_strerror(error));
    fflush(stdout);
    _Exit(1);
}

int main(int count, char **arguments) {
    uvc_context_t *context;
    uvc_device_t *device;
    uvc_device_handle_t *handle;
    uvc_stream_ctrl_t control;
    if (count != 6) return 2;
    enum uvc_frame_format format = strcmp(arguments[1], "mjpeg") == 0 ? UVC_FRAME_FORMAT_MJPEG : UVC_FRAME_FORMAT_YUYV;
    int wanted = atoi(arguments[5]);
    uvc_error_t error = uvc_init(&context, NULL);
    if (error < 0) fail("uvc_init", error);
    if ((error = uvc_find_device(context, &device, 0, 0, NULL)) < 0) fail("uvc_find_device", error);
    if ((error = uvc_open(device, &handle)) < 0) fail("uvc_open", error);
    error = uvc_get_stream_ctrl_format_size(handle, &control, format, atoi(arguments[2]), atoi(arguments[3]), atoi(arguments[4]));
    if (error < 0) fail("uvc_get_stream_ctrl_format_size", error);
    if ((error = uvc_start_streaming(handle, &control, take, NULL, 0)) < 0) fail("uvc_start_streaming", error);
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 90;
    pthread_mutex_lock(&lock);
    while (frames < wanted && pthread_cond_timedwait(&news, &lock, &end) != ETIMEDOUT) continue;
    printf("%d frames, %zu bytes, %d empty\n", frames, bytes, empty);
    fflush(stdout);
    _Exit(frames >= wanted && empty == 0 ? 0 : 1);
}
