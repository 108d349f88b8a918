// expat for Swift.
#pragma once
#include <expat.h>
#include <stdint.h>

/// The line that the parser has reached. expat 2.9, which Debian 13 has by its updates, deprecates
/// the function of older versions for one with 64 bits.
static inline uint64_t cexpat_line(XML_Parser parser) {
#if XML_MAJOR_VERSION > 2 || XML_MINOR_VERSION >= 9
    return XML_GetCurrentLineNumber64(parser);
#else
    return XML_GetCurrentLineNumber(parser);
#endif
}
