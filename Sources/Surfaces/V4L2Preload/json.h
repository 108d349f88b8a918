// JSON (RFC 8259) as a flat list of nodes: bounded in bytes, nodes and depth, since whatever
// answers at the socket may write it.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

enum json_kind { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_node {
    enum json_kind kind;
    /// A string's bytes without its quotes, or a number's.
    uint32_t start, length;
    /// The node after this one and all that it holds.
    uint32_t after;
};

/// Node 0 is the whole. Members are a string and its value, one after the other.
struct json {
    const char *text;
    struct json_node *nodes;
    uint32_t count;
};

#define JSON_NOTHING UINT32_MAX

/// Returns false, and holds nothing, where the text is no JSON or out of bounds. The text has to
/// live as long as the nodes.
bool json_parse(struct json *json, const char *text, size_t length);
void json_free(struct json *json);

/// What follows takes JSON_NOTHING for a node, and gives that, false or nothing for what is not
/// there or of another kind.
uint32_t json_member(const struct json *json, uint32_t object, const char *name);
/// For walks over an array; starts with `previous` JSON_NOTHING.
uint32_t json_element(const struct json *json, uint32_t array, uint32_t previous);
bool json_string(const struct json *json, uint32_t node, char *text, size_t capacity);
bool json_number(const struct json *json, uint32_t node, double *value);
bool json_integer(const struct json *json, uint32_t node, int64_t *value);
bool json_true(const struct json *json, uint32_t node);

/// Appends a string with its quotes; false where it does not fit.
bool json_quote(char *text, size_t capacity, size_t *used, const char *string);

#pragma GCC visibility pop
