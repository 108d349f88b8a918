// expat for Swift.
#pragma once
#include <expat.h>
#include <stdint.h>

/// The line that the parser has come to. expat 2.9, to which Debian 13 was updated, has 64 bits for it and deprecates what older ones have.
static inline uint64_t cexpat_line(XML_Parser parser) {
#if XML_MAJOR_VERSION > 2 || XML_MINOR_VERSION >= 9
    return XML_GetCurrentLineNumber64(parser);
#else
    return XML_GetCurrentLineNumber(parser);
#endif
}
