// A camera's controls under V4L2's numbers.
#pragma once
#include "file.h"

#pragma GCC visibility push(hidden)

/// One control as the camera told it.
struct control {
    char name[64], title[64];
    uint32_t id, type;
    int64_t minimum, maximum, step, standard;
    bool is_readable, is_writable, is_automatic;
    /// Menus: which values there are, as V4L2 counts them, and their names.
    uint64_t items;
    char (*texts)[32];
    /// exposure_auto, whose bits are V4L2's menu.
    bool is_exposure;
};

// 0 or an error, negative. Without locks.
int controls_query(struct camera *camera, struct v4l2_queryctrl *query);
int controls_query_extended(struct camera *camera, struct v4l2_query_ext_ctrl *query);
int controls_query_menu(struct camera *camera, struct v4l2_querymenu *query);
int controls_get(struct file *file, uint32_t id, int32_t *value);
int controls_set(struct file *file, uint32_t id, int32_t *value);
enum controls_verb { CONTROLS_GET, CONTROLS_SET, CONTROLS_TRY };
int controls_several(struct file *file, struct v4l2_ext_controls *controls, enum controls_verb verb);
/// Value, range and flags for an event; its id is given.
int controls_describe_event(struct camera *camera, struct v4l2_event *event);

#pragma GCC visibility pop
