// Reads JSON in one pass, without recursion beyond a fixed depth: see json.h.
#define _GNU_SOURCE
#include "json.h"

#include <stdlib.h>
#include <string.h>

enum { MAXIMUM_DEPTH = 32, MAXIMUM_NODES = 1 << 17, MAXIMUM_BYTES = 1 << 20 };

struct parser {
    struct json *json;
    uint32_t position, length, capacity;
};

static uint32_t add(struct parser *parser, enum json_kind kind) {
    struct json *json = parser->json;
    if (json->count == parser->capacity) {
        uint32_t capacity = parser->capacity ? parser->capacity * 2 : 64;
        struct json_node *nodes = capacity <= MAXIMUM_NODES ? realloc(json->nodes, capacity * sizeof *nodes) : NULL;
        if (!nodes) return JSON_NOTHING;
        json->nodes = nodes;
        parser->capacity = capacity;
    }
    json->nodes[json->count] = (struct json_node){.kind = kind, .start = parser->position, .after = json->count + 1};
    return json->count++;
}

static int peek(const struct parser *parser) {
    return parser->position < parser->length ? (unsigned char)parser->json->text[parser->position] : -1;
}

static int peek_past_space(struct parser *parser) {
    int byte;
    while ((byte = peek(parser)) == ' ' || byte == '\t' || byte == '\n' || byte == '\r') parser->position++;
    return byte;
}

static bool take(struct parser *parser, int byte) {
    if (peek_past_space(parser) != byte) return false;
    parser->position++;
    return true;
}

static bool word(struct parser *parser, const char *letters, enum json_kind kind) {
    size_t length = strlen(letters);
    if (parser->length - parser->position < length || memcmp(parser->json->text + parser->position, letters, length)) return false;
    if (add(parser, kind) == JSON_NOTHING) return false;
    parser->position += (uint32_t)length;
    return true;
}

static int hexadecimal(int byte) {
    if (byte >= '0' && byte <= '9') return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static bool string(struct parser *parser) {
    if (!take(parser, '"')) return false;
    uint32_t node = add(parser, JSON_STRING);
    if (node == JSON_NOTHING) return false;
    int byte;
    while ((byte = peek(parser)) != '"') {
        if (byte < 0x20) return false;
        parser->position++;
        if (byte != '\\') continue;
        int escaped = peek(parser);
        if (escaped <= 0 || !strchr("\"\\/bfnrtu", escaped)) return false;
        parser->position++;
        for (int digit = 0; escaped == 'u' && digit < 4; digit++, parser->position++) {
            if (hexadecimal(peek(parser)) < 0) return false;
        }
    }
    parser->json->nodes[node].length = parser->position - parser->json->nodes[node].start;
    parser->position++;
    return true;
}

static bool is_digit(int byte) { return byte >= '0' && byte <= '9'; }

static bool digits(struct parser *parser) {
    if (!is_digit(peek(parser))) return false;
    while (is_digit(peek(parser))) parser->position++;
    return true;
}

static bool number(struct parser *parser) {
    uint32_t node = add(parser, JSON_NUMBER);
    if (node == JSON_NOTHING) return false;
    if (peek(parser) == '-') parser->position++;
    if (!digits(parser)) return false;
    if (peek(parser) == '.') {
        parser->position++;
        if (!digits(parser)) return false;
    }
    if ((peek(parser) | 0x20) == 'e') {
        parser->position++;
        if (peek(parser) == '+' || peek(parser) == '-') parser->position++;
        if (!digits(parser)) return false;
    }
    parser->json->nodes[node].length = parser->position - parser->json->nodes[node].start;
    return true;
}

static bool value(struct parser *parser, int depth) {
    int byte = peek_past_space(parser);
    switch (byte) {
    case 'n': return word(parser, "null", JSON_NULL);
    case 't': return word(parser, "true", JSON_TRUE);
    case 'f': return word(parser, "false", JSON_FALSE);
    case '"': return string(parser);
    case '{':
    case '[': break;
    default: return (byte == '-' || is_digit(byte)) && number(parser);
    }
    int closing = byte == '{' ? '}' : ']';
    uint32_t node = add(parser, byte == '{' ? JSON_OBJECT : JSON_ARRAY);
    if (node == JSON_NOTHING || depth >= MAXIMUM_DEPTH) return false;
    parser->position++;
    if (!take(parser, closing)) {
        do {
            if (closing == '}' && (!string(parser) || !take(parser, ':'))) return false;
            if (!value(parser, depth + 1)) return false;
        } while (take(parser, ','));
        if (!take(parser, closing)) return false;
    }
    parser->json->nodes[node].after = parser->json->count;
    return true;
}

bool json_parse(struct json *json, const char *text, size_t length) {
    *json = (struct json){.text = text};
    if (length <= MAXIMUM_BYTES) {
        struct parser parser = {.json = json, .length = (uint32_t)length};
        if (value(&parser, 0) && peek_past_space(&parser) < 0) return true;
    }
    json_free(json);
    return false;
}

void json_free(struct json *json) {
    free(json->nodes);
    *json = (struct json){0};
}

static const struct json_node *find(const struct json *json, uint32_t node, enum json_kind kind) {
    return node < json->count && json->nodes[node].kind == kind ? &json->nodes[node] : NULL;
}

uint32_t json_member(const struct json *json, uint32_t object, const char *name) {
    const struct json_node *node = find(json, object, JSON_OBJECT);
    if (!node) return JSON_NOTHING;
    size_t length = strlen(name);
    // Names that we look for have no escapes.
    for (uint32_t key = object + 1; key < node->after; key = json->nodes[key + 1].after) {
        if (json->nodes[key].length == length && !memcmp(json->text + json->nodes[key].start, name, length)) return key + 1;
    }
    return JSON_NOTHING;
}

uint32_t json_element(const struct json *json, uint32_t array, uint32_t previous) {
    const struct json_node *node = find(json, array, JSON_ARRAY);
    if (!node) return JSON_NOTHING;
    uint32_t next = previous == JSON_NOTHING ? array + 1 : json->nodes[previous].after;
    return next < node->after ? next : JSON_NOTHING;
}

/// UTF-8 of one scalar; 0 bytes where it does not fit.
static size_t encode(uint32_t scalar, char *text, size_t room) {
    size_t size = scalar < 0x80 ? 1 : scalar < 0x800 ? 2 : scalar < 0x10000 ? 3 : 4;
    if (size > room) return 0;
    static const unsigned char marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t index = size; index-- > 1; scalar >>= 6) text[index] = (char)(0x80 | (scalar & 0x3f));
    text[0] = (char)(marks[size] | scalar);
    return size;
}

static uint32_t four_digits(const char *text) {
    uint32_t unit = 0;
    for (int digit = 0; digit < 4; digit++) unit = unit << 4 | (uint32_t)hexadecimal(text[digit]);
    return unit;
}

bool json_string(const struct json *json, uint32_t node, char *text, size_t capacity) {
    if (capacity) text[0] = 0;
    const struct json_node *string = find(json, node, JSON_STRING);
    if (!string || !capacity) return false;
    const char *from = json->text + string->start, *end = from + string->length;
    size_t used = 0;
    while (from < end) {
        uint32_t scalar = (unsigned char)*from++;
        size_t size = 1;
        if (scalar == '\\') {
            static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
            scalar = (unsigned char)*from++;
            const char *letter = strchr(letters, (int)scalar);
            if (scalar == 'u') {
                scalar = four_digits(from);
                from += 4;
                if (scalar >= 0xd800 && scalar < 0xdc00 && end - from >= 6 && from[0] == '\\' && from[1] == 'u') {
                    uint32_t low = four_digits(from + 2);
                    if (low >= 0xdc00 && low < 0xe000) {
                        scalar = 0x10000 + ((scalar - 0xd800) << 10) + (low - 0xdc00);
                        from += 6;
                    }
                }
                if (!scalar || (scalar >= 0xd800 && scalar < 0xe000)) scalar = 0xfffd;
            } else if (letter) {
                scalar = (unsigned char)meant[letter - letters];
            }
            size = encode(scalar, text + used, capacity - 1 - used);
        } else if (scalar >= 0xc0) {
            // The bytes of one scalar stay together: what does not fit is left out as a whole.
            while (from < end && ((unsigned char)*from & 0xc0) == 0x80 && size < 4) from++, size++;
            if (size > capacity - 1 - used) size = 0;
            else memcpy(text + used, from - size, size);
        } else if (used < capacity - 1) {
            text[used] = (char)scalar;
        } else {
            size = 0;
        }
        if (!size) break;
        used += size;
    }
    text[used] = 0;
    return true;
}

/// By hand: strtod reads commas where the program's locale has them.
bool json_number(const struct json *json, uint32_t node, double *value) {
    const struct json_node *number = find(json, node, JSON_NUMBER);
    if (!number) return false;
    const char *from = json->text + number->start, *end = from + number->length;
    bool is_negative = *from == '-', after_point = false;
    double result = 0;
    int exponent = 0;
    for (from += is_negative; from < end && (*from | 0x20) != 'e'; from++) {
        if (*from == '.') {
            after_point = true;
        } else {
            result = result * 10 + (*from - '0');
            exponent -= after_point;
        }
    }
    if (from < end) {
        from++;
        bool is_small = *from == '-';
        from += *from == '-' || *from == '+';
        int written = 0;
        for (; from < end; from++) written = written > 9999 ? written : written * 10 + (*from - '0');
        exponent += is_small ? -written : written;
    }
    for (; exponent > 0 && result != 0 && result < 1e300; exponent--) result *= 10;
    for (; exponent < 0 && result > 1e-300; exponent++) result /= 10;
    *value = is_negative ? -result : result;
    return true;
}

bool json_integer(const struct json *json, uint32_t node, int64_t *value) {
    double number;
    if (!json_number(json, node, &number) || number < -9e15 || number > 9e15) return false;
    *value = (int64_t)number;
    return (double)*value == number;
}

bool json_true(const struct json *json, uint32_t node) { return find(json, node, JSON_TRUE) != NULL; }

bool json_quote(char *text, size_t capacity, size_t *used, const char *string) {
    static const char digits[] = "0123456789abcdef";
    size_t at = *used;
    if (at + 2 >= capacity) return false;
    text[at++] = '"';
    for (; *string; string++) {
        if (at + 8 >= capacity) return false;
        unsigned char byte = (unsigned char)*string;
        if (byte == '"' || byte == '\\') text[at++] = '\\';
        if (byte < 0x20) {
            memcpy(text + at, "\\u00", 4);
            text[at + 4] = digits[byte >> 4];
            text[at + 5] = digits[byte & 15];
            at += 6;
        } else {
            text[at++] = (char)byte;
        }
    }
    text[at++] = '"';
    text[at] = 0;
    *used = at;
    return true;
}
