// userdriver-mux: what its parts offer each other. Frames come in (frames.c), a container is made
// of them (container.c), a file takes it (sink.c).
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// A frame's record on standard input: this, little-endian, and then its bytes.
struct frame_header {
    uint32_t length;  // 0 ends the recording
    uint32_t flags;   // FRAME_*
    int64_t time;     // nanoseconds since the file's first frame
};
enum { FRAME_IS_KEY = 1, FRAME_IS_PARAMETERS = 2 };

/// The largest frame: 8192x8192 in two bytes a pixel.
enum { LARGEST_FRAME = 128 << 20 };

/// The file. What lies before `kept` plays, whatever happens from here on.
struct sink {
    int file;
    int64_t position;  // where the next byte goes
    int64_t end;       // as long as the file is by now
    int64_t kept;      // up to here everything belongs together
    int64_t reserved;  // the disk has room up to here
    int64_t limit;     // no file may be longer (RLIMIT_FSIZE)
    bool reserves;     // this file system can set room aside
    int failed;        // errno of the write that failed
};

void sink_open(struct sink *sink, int file);

/// Sees to it that the file can grow to `length` bytes. 0, or the errno that says why it can't.
int sink_reserve(struct sink *sink, int64_t length);

/// All the bytes at `sink->position`. 0 or errno.
int sink_write(struct sink *sink, const uint8_t *bytes, size_t length);

/// Cuts off what does not belong to the film: room that was set aside and, `to_kept`, what was
/// begun and could not be finished.
int sink_close(struct sink *sink, bool to_kept);

/// What the frames are, as the command line says it.
struct film {
    const char *container;  // "mkv", "mp4", "avi"
    const char *format;     // "mjpeg", "yuy2", …
    int width, height;
    int rate_numerator, rate_denominator;  // frames a second; 0/1 where nobody knows
    int64_t began;                         // of the first frame, microseconds since 1970
    uint8_t *parameters;                   // of H.264 and H.265: the parameter sets, NULL without
    size_t parameters_length;
};

struct container;

/// Begins the film in the file. NULL where it can't, with the reason in `container_error`.
struct container *container_open(const struct film *film, struct sink *sink);

/// Takes a frame. 0 or errno; ENOSPC and EFBIG where the file has no room for it: what came before
/// is kept then.
int container_write(struct container *container, const uint8_t *bytes, size_t length, int64_t time, bool is_key);

/// Writes all that was taken, so that it plays even if nothing more comes. 0 or errno.
int container_flush(struct container *container);

/// Writes the index and ends the film. 0 or errno.
int container_finish(struct container *container);

/// Frames that would play if this process ended now.
uint64_t container_saved(const struct container *container);
/// Whether frames were taken that `container_flush` has not written.
bool container_is_behind(const struct container *container);
/// What libavformat said last.
const char *container_error(void);

/// From here on this process can do nothing but read frames and write the file. 0 or errno.
int confine(void);
