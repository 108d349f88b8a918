// The containers, by libavformat: Matroska in clusters, MP4 in fragments, AVI with its index at the
// end.
#define _GNU_SOURCE
#include "mux.h"
#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct container {
    struct sink *sink;
    AVFormatContext *format;
    AVStream *stream;
    AVPacket *packet;
    bool is_avi, is_mp4;
    AVRational frame_time;  // of one frame at the nominal rate
    int64_t last;           // the last frame's time, in the stream's units
    uint64_t taken, saved;
    int64_t pending;        // bytes that were taken since the last flush, and what goes around them
    bool holds;             // `packet` waits for the next frame, which says how long it lasts
};

static char last_words[512];

const char *container_error(void) { return last_words; }

static void remember(void *context, int level, const char *format, va_list arguments) {
    (void)context;
    if (level > AV_LOG_ERROR) return;
    vsnprintf(last_words, sizeof last_words, format, arguments);
    for (char *c = last_words; *c; c++) if (*c == '\n') *c = ' ';
}

/// How libavformat says errno.
static int number_of(int result) {
    if (result >= 0) return 0;
    int number = AVUNERROR(result);
    return number > 0 && number < 200 ? number : EINVAL;
}

#if LIBAVFORMAT_VERSION_MAJOR >= 61
static int write_bytes(void *opaque, const uint8_t *bytes, int length) {
#else
static int write_bytes(void *opaque, uint8_t *bytes, int length) {
#endif
    int error = sink_write(opaque, bytes, (size_t)length);
    return error == 0 ? length : AVERROR(error);
}

static int64_t seek(void *opaque, int64_t offset, int whence) {
    struct sink *sink = opaque;
    switch (whence & ~AVSEEK_FORCE) {
    case AVSEEK_SIZE: return sink->end;
    case SEEK_SET: break;
    case SEEK_CUR: offset += sink->position; break;
    case SEEK_END: offset += sink->end; break;
    default: return AVERROR(EINVAL);
    }
    if (offset < 0) return AVERROR(EINVAL);
    return sink->position = offset;
}

struct raw_format {
    const char *name;
    enum AVPixelFormat pixels;
    const char code[5];
};
static const struct raw_format raw_formats[] = {
    {"yuy2", AV_PIX_FMT_YUYV422, "YUY2"}, {"uyvy", AV_PIX_FMT_UYVY422, "UYVY"}, {"nv12", AV_PIX_FMT_NV12, "NV12"},
    {"i420", AV_PIX_FMT_YUV420P, "I420"}, {"grey", AV_PIX_FMT_GRAY8, "Y800"},
};

static bool describe(AVCodecParameters *codec, const struct film *film) {
    codec->codec_type = AVMEDIA_TYPE_VIDEO;
    codec->width = film->width;
    codec->height = film->height;
    if (strcmp(film->format, "mjpeg") == 0) {
        codec->codec_id = AV_CODEC_ID_MJPEG;
        codec->color_range = AVCOL_RANGE_JPEG;
    } else if (strcmp(film->format, "h264") == 0) {
        codec->codec_id = AV_CODEC_ID_H264;
    } else if (strcmp(film->format, "h265") == 0) {
        codec->codec_id = AV_CODEC_ID_HEVC;
    } else {
        for (size_t i = 0; i < sizeof raw_formats / sizeof *raw_formats; i++) {
            if (strcmp(film->format, raw_formats[i].name) != 0) continue;
            codec->codec_id = AV_CODEC_ID_RAWVIDEO;
            codec->format = raw_formats[i].pixels;
            const char *code = raw_formats[i].code;
            codec->codec_tag = MKTAG(code[0], code[1], code[2], code[3]);
        }
    }
    if (codec->codec_id == AV_CODEC_ID_NONE) return false;
    if (film->parameters == NULL) return true;
    codec->extradata = av_mallocz(film->parameters_length + AV_INPUT_BUFFER_PADDING_SIZE);
    if (codec->extradata == NULL) return false;
    memcpy(codec->extradata, film->parameters, film->parameters_length);
    codec->extradata_size = (int)film->parameters_length;
    return true;
}

static const char *muxer_of(const char *container) { return strcmp(container, "mkv") == 0 ? "matroska" : container; }

static int begin(struct container *container, const struct film *film) {
    AVFormatContext *format = container->format;
    // The first frame's time of day, for whoever asks when this was.
    char created[40];
    time_t seconds = (time_t)(film->began / 1000000);
    struct tm time;
    size_t length = gmtime_r(&seconds, &time) ? strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%S", &time) : 0;
    if (length > 0) {
        snprintf(created + length, sizeof created - length, ".%06dZ", (int)(film->began % 1000000));
        av_dict_set(&format->metadata, "creation_time", created, 0);
    }
    AVDictionary *options = NULL;
    // A cluster a second (the flush ends them); no check sums, which nobody reads.
    av_dict_set(&options, "cluster_time_limit", "1000", 0);
    av_dict_set(&options, "write_crc32", "0", 0);
    // A fragment at each flush; each says its own place and time, so that those before play without
    // those behind.
    av_dict_set(&options, "movflags", "empty_moov+default_base_moof+frag_custom", 0);
    av_dict_set(&options, "video_track_timescale", "90000", 0);
    int result = avformat_write_header(format, &options);
    av_dict_free(&options);
    if (result < 0) return number_of(result);
    avio_flush(format->pb);
    return format->pb->error ? number_of(format->pb->error) : 0;
}

struct container *container_open(const struct film *film, struct sink *sink) {
    av_log_set_callback(remember);
    struct container *container = calloc(1, sizeof *container);
    const int buffer_length = 1 << 20;
    uint8_t *buffer = av_malloc(buffer_length);
    if (container == NULL || buffer == NULL) return NULL;
    *container = (struct container){.sink = sink, .last = -1, .packet = av_packet_alloc()};
    if (container->packet == NULL || avformat_alloc_output_context2(&container->format, NULL, muxer_of(film->container), NULL) < 0) {
        return NULL;
    }
    AVFormatContext *format = container->format;
    container->is_avi = strcmp(film->container, "avi") == 0;
    container->is_mp4 = strcmp(film->container, "mp4") == 0;
    format->pb = avio_alloc_context(buffer, buffer_length, 1, sink, NULL, write_bytes, seek);
    // Written in large pieces, and at each flush.
    format->flags = (format->flags | AVFMT_FLAG_CUSTOM_IO) & ~AVFMT_FLAG_FLUSH_PACKETS;
    format->flush_packets = 0;
    format->avoid_negative_ts = AVFMT_AVOID_NEG_TS_DISABLED;
    container->stream = avformat_new_stream(format, NULL);
    if (format->pb == NULL || container->stream == NULL) return NULL;
    if (!describe(container->stream->codecpar, film)) {
        snprintf(last_words, sizeof last_words, "%s frames can't be put into a file", film->format);
        return NULL;
    }
    AVRational rate = {film->rate_numerator, film->rate_denominator};
    bool has_rate = rate.num > 0 && rate.den > 0;
    container->frame_time = has_rate ? av_inv_q(rate) : (AVRational){1, 30};
    // AVI counts frames, and its unit is one of them; the others have times, of which a rate is no
    // part.
    container->stream->time_base = container->is_avi ? container->frame_time : (AVRational){1, 90000};
    if (has_rate) container->stream->avg_frame_rate = rate;
    int error = begin(container, film);
    if (error != 0) {
        if (last_words[0] == 0) snprintf(last_words, sizeof last_words, "%s", strerror(error));
        return NULL;
    }
    sink->kept = sink->end;
    return container;
}

/// What the index takes at the end, for the frames up to that of `moment`: Matroska's cues are the
/// largest. AVI's also has the frames that are missing.
static int64_t index_length(const struct container *container, int64_t moment) {
    return (64 << 10) + 40 * (container->is_avi ? moment + 1 : (int64_t)container->taken + 1);
}

static int put(struct container *container, int64_t duration) {
    AVPacket *packet = container->packet;
    packet->duration = duration;
    int result = av_write_frame(container->format, packet);
    av_packet_unref(packet);
    container->holds = false;
    if (result < 0) return number_of(result);
    return container->format->pb->error ? number_of(container->format->pb->error) : 0;
}

int container_write(struct container *container, const uint8_t *bytes, size_t length, int64_t time, bool is_key) {
    AVRational unit = container->stream->time_base;
    int64_t moment = av_rescale_q(time < 0 ? 0 : time, (AVRational){1, 1000000000}, unit);
    if (moment <= container->last) moment = container->last + 1;
    // First of all: is there room, also for what has to come behind it? In AVI an empty frame
    // stands for each that is missing.
    int64_t needed = container->pending + (int64_t)length + 1024 + (container->is_avi ? 8 * (moment - container->last) : 0);
    int error = sink_reserve(container->sink, container->sink->kept + needed + index_length(container, moment));
    if (error != 0) return error;
    if (container->holds) {
        error = put(container, moment - container->last);
        if (error != 0) return error;
    }
    AVPacket *packet = container->packet;
    if (av_new_packet(packet, (int)length) < 0) return ENOMEM;
    memcpy(packet->data, bytes, length);
    packet->pts = packet->dts = container->last = moment;
    packet->flags = is_key ? AV_PKT_FLAG_KEY : 0;
    container->pending = needed;
    container->taken += 1;
    container->holds = true;
    // Only MP4 has durations, from which it reckons the times.
    if (container->is_mp4) return 0;
    return put(container, av_rescale_q(1, container->frame_time, unit));
}

int container_flush(struct container *container) {
    int result = av_write_frame(container->format, NULL);
    avio_flush(container->format->pb);
    if (result >= 0) result = container->format->pb->error;
    if (result < 0) return number_of(result);
    container->sink->kept = container->sink->end;
    container->saved = container->taken - (container->holds ? 1 : 0);
    container->pending = container->holds ? container->packet->size + 1024 : 0;
    return 0;
}

int container_finish(struct container *container) {
    int error = container->holds ? put(container, av_rescale_q(1, container->frame_time, container->stream->time_base)) : 0;
    if (error == 0) error = container_flush(container);
    if (error != 0) return error;
    int result = av_write_trailer(container->format);
    avio_flush(container->format->pb);
    if (result >= 0) result = container->format->pb->error;
    return number_of(result);
}

uint64_t container_saved(const struct container *container) { return container->saved; }

bool container_is_behind(const struct container *container) {
    return container->taken - (container->holds ? 1 : 0) > container->saved;
}
