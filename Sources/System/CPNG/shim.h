// libpng, of which the simplified interface (png_image) is used: it reports errors by return value.
#pragma once
#include <png.h>
