// libjpeg-turbo's TurboJPEG interface, which reports errors by return value.
#pragma once
#include <turbojpeg.h>
