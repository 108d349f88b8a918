// Nothing is called from outside: the library is preloaded, and what it exports are libc's own
// names.
#pragma once
