// Parameters as PipeWire's objects: formats, buffers, controls; to and from.
#include "internal.h"

#ifdef CPIPEWIRE_IS_PRESENT
#include <math.h>
#include <spa/param/buffers.h>
#include <spa/param/format-utils.h>
#include <spa/param/props.h>
#include <spa/param/video/format-utils.h>
#include <spa/pod/builder.h>
#include <spa/pod/iter.h>
#include <spa/pod/parser.h>
#include <string.h>

static const uint32_t video_formats[] = {
    [CPIPEWIRE_YUY2] = SPA_VIDEO_FORMAT_YUY2,   [CPIPEWIRE_UYVY] = SPA_VIDEO_FORMAT_UYVY,
    [CPIPEWIRE_NV12] = SPA_VIDEO_FORMAT_NV12,   [CPIPEWIRE_NV21] = SPA_VIDEO_FORMAT_NV21,
    [CPIPEWIRE_I420] = SPA_VIDEO_FORMAT_I420,   [CPIPEWIRE_YV12] = SPA_VIDEO_FORMAT_YV12,
    [CPIPEWIRE_GRAY8] = SPA_VIDEO_FORMAT_GRAY8, [CPIPEWIRE_GRAY16] = SPA_VIDEO_FORMAT_GRAY16_LE,
};
enum { video_format_count = sizeof video_formats / sizeof *video_formats };

/// The controls that PipeWire has numbers for.
static const struct {
    const char *name;
    uint32_t number;
} numbered[] = {
    {"brightness", SPA_PROP_brightness}, {"contrast", SPA_PROP_contrast}, {"saturation", SPA_PROP_saturation},
    {"hue", SPA_PROP_hue}, {"gamma", SPA_PROP_gamma}, {"exposure_time_absolute", SPA_PROP_exposure},
    {"gain", SPA_PROP_gain}, {"sharpness", SPA_PROP_sharpness},
};
enum { numbered_count = sizeof numbered / sizeof *numbered };

uint32_t cpipewire_control_number(const char *name)
{
    for (int i = 0; i < numbered_count; i++)
        if (strcmp(numbered[i].name, name) == 0) return numbered[i].number;
    return 0;
}

const char *cpipewire_control_name(uint32_t number)
{
    for (int i = 0; i < numbered_count; i++)
        if (numbered[i].number == number) return numbered[i].name;
    return NULL;
}

const struct spa_pod *cpipewire_build_offer(struct spa_pod_builder *builder, const struct cpipewire_offer *offer)
{
    struct spa_pod_frame object, choice;
    bool is_raw = offer->pixels >= CPIPEWIRE_YUY2;
    uint32_t compressed = offer->pixels == CPIPEWIRE_H264 ? SPA_MEDIA_SUBTYPE_h264 : SPA_MEDIA_SUBTYPE_mjpg;
    spa_pod_builder_push_object(builder, &object, SPA_TYPE_OBJECT_Format, SPA_PARAM_EnumFormat);
    spa_pod_builder_add(
        builder, SPA_FORMAT_mediaType, SPA_POD_Id(SPA_MEDIA_TYPE_video), SPA_FORMAT_mediaSubtype,
        SPA_POD_Id(is_raw ? SPA_MEDIA_SUBTYPE_raw : compressed), 0);
    if (is_raw) spa_pod_builder_add(builder, SPA_FORMAT_VIDEO_format, SPA_POD_Id(video_formats[offer->pixels]), 0);
    struct spa_rectangle size = SPA_RECTANGLE(offer->width, offer->height);
    spa_pod_builder_add(builder, SPA_FORMAT_VIDEO_size, SPA_POD_Rectangle(&size), 0);
    // The first value is the one that is taken where nobody says.
    spa_pod_builder_prop(builder, SPA_FORMAT_VIDEO_framerate, 0);
    spa_pod_builder_push_choice(builder, &choice, offer->rate_count > 1 ? SPA_CHOICE_Enum : SPA_CHOICE_None, 0);
    for (uint32_t i = 0; i < offer->rate_count; i++) {
        spa_pod_builder_fraction(builder, offer->rates[i].numerator, offer->rates[i].denominator);
        if (i == 0 && offer->rate_count > 1)
            spa_pod_builder_fraction(builder, offer->rates[0].numerator, offer->rates[0].denominator);
    }
    spa_pod_builder_pop(builder, &choice);
    return spa_pod_builder_pop(builder, &object);
}

const struct spa_pod *cpipewire_build_buffers(struct spa_pod_builder *builder, const struct cpipewire_layout *layout)
{
    return spa_pod_builder_add_object(
        builder, SPA_TYPE_OBJECT_ParamBuffers, SPA_PARAM_Buffers,
        SPA_PARAM_BUFFERS_buffers, SPA_POD_CHOICE_RANGE_Int((int)layout->buffers, 3, 32),
        SPA_PARAM_BUFFERS_blocks, SPA_POD_Int(1),
        SPA_PARAM_BUFFERS_size, SPA_POD_Int((int)layout->byte_count),
        SPA_PARAM_BUFFERS_stride, SPA_POD_Int((int)layout->stride),
        SPA_PARAM_BUFFERS_dataType, SPA_POD_CHOICE_FLAGS_Int(1 << SPA_DATA_MemFd));
}

const struct spa_pod *cpipewire_build_header(struct spa_pod_builder *builder)
{
    return spa_pod_builder_add_object(
        builder, SPA_TYPE_OBJECT_ParamMeta, SPA_PARAM_Meta, SPA_PARAM_META_type, SPA_POD_Id(SPA_META_Header),
        SPA_PARAM_META_size, SPA_POD_Int(sizeof(struct spa_meta_header)));
}

static const struct spa_pod *build_type(struct spa_pod_builder *builder, const struct cpipewire_control *control)
{
    struct spa_pod_frame choice;
    switch (control->kind) {
    case CPIPEWIRE_BOOLEAN:
        spa_pod_builder_push_choice(builder, &choice, SPA_CHOICE_Enum, 0);
        spa_pod_builder_bool(builder, control->default_value != 0);
        spa_pod_builder_bool(builder, false);
        spa_pod_builder_bool(builder, true);
        break;
    case CPIPEWIRE_MENU:
        spa_pod_builder_push_choice(builder, &choice, SPA_CHOICE_Enum, 0);
        spa_pod_builder_int(builder, control->default_value);
        for (uint32_t i = 0; i < control->label_count; i++) spa_pod_builder_int(builder, control->labels[i].value);
        break;
    default:
        spa_pod_builder_push_choice(builder, &choice, SPA_CHOICE_Step, 0);
        spa_pod_builder_int(builder, control->default_value);
        spa_pod_builder_int(builder, control->minimum);
        spa_pod_builder_int(builder, control->maximum);
        spa_pod_builder_int(builder, control->step);
    }
    return spa_pod_builder_pop(builder, &choice);
}

const struct spa_pod *cpipewire_build_control(struct spa_pod_builder *builder, const struct cpipewire_control *control)
{
    struct spa_pod_frame object, labels;
    uint32_t number = cpipewire_control_number(control->name);
    spa_pod_builder_push_object(builder, &object, SPA_TYPE_OBJECT_PropInfo, SPA_PARAM_PropInfo);
    if (number) spa_pod_builder_add(builder, SPA_PROP_INFO_id, SPA_POD_Id(number), 0);
    spa_pod_builder_add(builder, SPA_PROP_INFO_name, SPA_POD_String(control->name), 0);
    spa_pod_builder_add(builder, SPA_PROP_INFO_description, SPA_POD_String(control->description), 0);
    spa_pod_builder_prop(builder, SPA_PROP_INFO_type, 0);
    build_type(builder, control);
    if (control->kind == CPIPEWIRE_MENU && control->label_count > 0) {
        spa_pod_builder_prop(builder, SPA_PROP_INFO_labels, 0);
        spa_pod_builder_push_struct(builder, &labels);
        for (uint32_t i = 0; i < control->label_count; i++) {
            spa_pod_builder_int(builder, control->labels[i].value);
            spa_pod_builder_string(builder, control->labels[i].text);
        }
        spa_pod_builder_pop(builder, &labels);
    }
    if (!number) spa_pod_builder_add(builder, SPA_PROP_INFO_params, SPA_POD_Bool(true), 0);
    return spa_pod_builder_pop(builder, &object);
}

static void build_value(struct spa_pod_builder *builder, const struct cpipewire_control *control)
{
    if (control->kind == CPIPEWIRE_BOOLEAN)
        spa_pod_builder_bool(builder, control->value != 0);
    else
        spa_pod_builder_int(builder, control->value);
}

const struct spa_pod *cpipewire_build_values(struct spa_pod_builder *builder, const struct cpipewire_control *controls, uint32_t count)
{
    struct spa_pod_frame object, pairs;
    spa_pod_builder_push_object(builder, &object, SPA_TYPE_OBJECT_Props, SPA_PARAM_Props);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = cpipewire_control_number(controls[i].name);
        if (!number) continue;
        spa_pod_builder_prop(builder, number, 0);
        build_value(builder, &controls[i]);
    }
    spa_pod_builder_prop(builder, SPA_PROP_params, 0);
    spa_pod_builder_push_struct(builder, &pairs);
    for (uint32_t i = 0; i < count; i++) {
        if (cpipewire_control_number(controls[i].name)) continue;
        spa_pod_builder_string(builder, controls[i].name);
        build_value(builder, &controls[i]);
    }
    spa_pod_builder_pop(builder, &pairs);
    return spa_pod_builder_pop(builder, &object);
}

bool cpipewire_parse_choice(const struct spa_pod *format, struct cpipewire_choice *choice)
{
    uint32_t type, subtype;
    if (spa_format_parse(format, &type, &subtype) < 0 || type != SPA_MEDIA_TYPE_video) return false;
    if (subtype == SPA_MEDIA_SUBTYPE_mjpg) {
        struct spa_video_info_mjpg info = {0};
        if (spa_format_video_mjpg_parse(format, &info) < 0) return false;
        *choice = (struct cpipewire_choice){
            CPIPEWIRE_MJPEG, info.size.width, info.size.height, {info.framerate.num, info.framerate.denom}};
        return true;
    }
    if (subtype == SPA_MEDIA_SUBTYPE_h264) {
        struct spa_video_info_h264 info = {0};
        if (spa_format_video_h264_parse(format, &info) < 0) return false;
        *choice = (struct cpipewire_choice){
            CPIPEWIRE_H264, info.size.width, info.size.height, {info.framerate.num, info.framerate.denom}};
        return true;
    }
    if (subtype != SPA_MEDIA_SUBTYPE_raw) return false;
    struct spa_video_info_raw info = {0};
    if (spa_format_video_raw_parse(format, &info) < 0) return false;
    for (int i = CPIPEWIRE_YUY2; i < video_format_count; i++) {
        if (video_formats[i] != (uint32_t)info.format) continue;
        *choice = (struct cpipewire_choice){
            (enum cpipewire_pixels)i, info.size.width, info.size.height, {info.framerate.num, info.framerate.denom}};
        return true;
    }
    return false;
}

/// Of any kind of number that programs send: they do not all look at the kind that a control has.
static bool whole_number(const struct spa_pod *value, int64_t *result)
{
    // Somebody may have sent a choice with one value.
    uint32_t count, kind;
    value = spa_pod_get_values(value, &count, &kind);
    if (!value || count < 1) return false;
    bool truth;
    int32_t number;
    int64_t large;
    float small_fraction;
    double fraction;
    if (spa_pod_get_bool(value, &truth) >= 0) return *result = truth, true;
    if (spa_pod_get_int(value, &number) >= 0) return *result = number, true;
    if (spa_pod_get_long(value, &large) >= 0) return *result = large, true;
    if (spa_pod_get_float(value, &small_fraction) >= 0) fraction = small_fraction;
    else if (spa_pod_get_double(value, &fraction) < 0) return false;
    if (!isfinite(fraction) || fabs(fraction) > 4e9) return false;
    *result = llround(fraction);
    return true;
}

void cpipewire_parse_values(const struct spa_pod *values, void (*set)(void *context, const char *name, int64_t value), void *context)
{
    if (!values || !spa_pod_is_object_type(values, SPA_TYPE_OBJECT_Props)) return;
    struct spa_pod_prop *property;
    int64_t number;
    SPA_POD_OBJECT_FOREACH((const struct spa_pod_object *)values, property) {
        const char *name = cpipewire_control_name(property->key);
        if (name && whole_number(&property->value, &number)) set(context, name, number);
        if (property->key != SPA_PROP_params || !spa_pod_is_struct(&property->value)) continue;
        struct spa_pod *member;
        name = NULL;
        SPA_POD_STRUCT_FOREACH(&property->value, member) {
            if (!name) {
                if (spa_pod_get_string(member, &name) < 0 || !name) break;
            } else {
                if (whole_number(member, &number)) set(context, name, number);
                name = NULL;
            }
        }
    }
}
#else
typedef int cpipewire_nothing;
#endif
